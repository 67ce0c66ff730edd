"""Tensors of a space's leaf → checked arrays; what the leaf fixes is worked out once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.codec import from_tensor, to_tensor
from agora.spaces import Leaf
from agora.v1 import tensor_pb2


class LeafReader:
    """Reads one leaf's tensors."""

    def __init__(self, leaf: Leaf, field: str) -> None:
        """Prepare.

        Args:
            leaf: what is read.
            field: the tensor's path in its message, for refusals.
        """
        self._leaf, self._field = leaf, field
        self._dtype = leaf.dtype
        self._type = to_tensor(np.empty(0, leaf.dtype)).data_type
        self._row_bytes = math.prod(leaf.shape) * leaf.dtype.itemsize
        self._rows, self._shape = -1, [-1]

    def read(self, tensor: tensor_pb2.Tensor, rows: int) -> NDArray[Any]:
        """The leaf's values, read-only (rows, ...).

        Raises:
            Refused: wrong type, shape or bytes, not finite, or out of bounds.
        """
        data = tensor.data
        if self._rows != rows:
            self._rows, self._shape = rows, [rows, *self._leaf.shape]
        if tensor.data_type == self._type and len(data) == rows * self._row_bytes and tensor.shape == self._shape:
            values = np.frombuffer(data, self._dtype).reshape(self._shape)
            if self._leaf.holds(values):
                return values
        values = from_tensor(tensor, self._field)
        self._leaf.check(values, rows, self._field)
        return values
