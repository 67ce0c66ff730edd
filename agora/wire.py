"""Protobuf's wire format by hand, for the two messages of every step.

Messages are filled field by field, and their serializer builds large ones in memory that it fetches anew. What does not
change from step to step is encoded once here, as messages; the tensors' bytes are put between with one copy. https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from agora.codec import to_tensor
from agora.v1 import tensor_pb2

_LENGTH_DELIMITED = 2
if sys.byteorder != "little":
    raise ImportError("arrays go to the wire as they lie in memory: expected a little-endian machine, got another")


def varint(number: int) -> bytes:
    """A number >= 0 in groups of seven bits, the lowest first."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def opening(field: int, length: int) -> bytes:
    """What stands before ``length`` bytes of a field: bytes, a message or packed numbers."""
    return varint(field << 3 | _LENGTH_DELIMITED) + varint(length)


def tensor_opening(field: int, dtype: np.dtype[Any], shape: Sequence[int]) -> bytes:
    """What stands before the elements of a Tensor in a field; nothing follows them."""
    tensor = to_tensor(np.empty(0, dtype))
    tensor.ClearField("shape")
    tensor.shape.extend(shape)
    tensor.data = b""
    nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    head = tensor.SerializeToString() + opening(tensor_pb2.Tensor.DATA_FIELD_NUMBER, nbytes)
    return opening(field, len(head) + nbytes) + head
