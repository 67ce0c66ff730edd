"""Arrays of one kind from every moment of a block, which are put together only where that is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_LARGE = 4096
"""Bytes of one moment from which handing on its memory is cheaper than copying it beside the others."""


class Moments:
    """T arrays (B, ...), one for every moment; together (T, B, ...)."""

    def __init__(self, arrays: Sequence[Array]) -> None:
        """Keep arrays of one dtype and shape, at least one."""
        self.arrays = arrays
        self.dtype = arrays[0].dtype
        self.shape = (len(arrays), *arrays[0].shape)
        self.nbytes = len(arrays) * arrays[0].nbytes

    @cached_property
    def array(self) -> Array:
        """All of them in one array (T, B, ...)."""
        return joined(self.arrays)

    def cut(self, first: int, end: int) -> Moments:
        """Moments ``first`` to ``end`` - 1, without copying."""
        return Moments(self.arrays[first:end])

    def chunks(self) -> Iterator[memoryview]:
        """Their memory, moment after moment."""
        if self.arrays[0].nbytes < _LARGE:
            yield self.array.data
            return
        for array in self.arrays:
            yield np.ascontiguousarray(array).data


def joined(arrays: Sequence[Array]) -> Array:
    """Arrays (B, ...) one after the other, (T, B, ...): ``numpy.stack`` without its work for every one of them."""
    first = arrays[0]
    if all(array is first for array in arrays):
        return np.repeat(first[np.newaxis], len(arrays), axis=0)
    # Transposed arrays are put together transposed.
    return np.ascontiguousarray(np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape))
