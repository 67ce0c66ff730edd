"""NumPy arrays ↔ ``agora.v1.Tensor``, without copying what comes in."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.v1 import policy_pb2, tensor_pb2 as pb

_DTYPES: dict[pb.DataType.ValueType, np.dtype[Any]] = {
    pb.DATA_TYPE_BOOL: np.dtype("?"),
    pb.DATA_TYPE_INT8: np.dtype("i1"),
    pb.DATA_TYPE_INT16: np.dtype("<i2"),
    pb.DATA_TYPE_INT32: np.dtype("<i4"),
    pb.DATA_TYPE_INT64: np.dtype("<i8"),
    pb.DATA_TYPE_UINT8: np.dtype("u1"),
    pb.DATA_TYPE_UINT16: np.dtype("<u2"),
    pb.DATA_TYPE_UINT32: np.dtype("<u4"),
    pb.DATA_TYPE_UINT64: np.dtype("<u8"),
    pb.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    pb.DATA_TYPE_FLOAT64: np.dtype("<f8"),
}
_DATA_TYPES = {dtype: data_type for data_type, dtype in _DTYPES.items()}


def is_carried(dtype: np.dtype[Any]) -> bool:
    """Whether arrays of a dtype can travel: booleans, integers, and reals of 32 and 64 bits."""
    return dtype.newbyteorder("<") in _DATA_TYPES


def to_tensor(array: NDArray[Any]) -> pb.Tensor:
    """An array as a message: one copy, into the message's bytes.

    Raises:
        Refused: the dtype has no counterpart on the wire (objects, strings, complex).
    """
    data_type = _DATA_TYPES.get(array.dtype.newbyteorder("<"))
    if data_type is None:
        raise Refused(policy_pb2.REASON_DATA_TYPE, "tensor", "a boolean, integer or real dtype", str(array.dtype))
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    return pb.Tensor(data_type=data_type, shape=array.shape, data=array.tobytes())


def from_tensor(tensor: pb.Tensor, field: str = "tensor") -> NDArray[Any]:
    """A message as a read-only array that shares the message's bytes.

    Raises:
        Refused: unknown type, negative axis, or a number of bytes that does not fit the shape.
    """
    dtype = _DTYPES.get(tensor.data_type)
    if dtype is None:
        raise Refused(policy_pb2.REASON_DATA_TYPE, field, "a known data type", f"number {tensor.data_type}")
    shape = tuple(tensor.shape)
    if min(shape, default=0) < 0:
        raise Refused(policy_pb2.REASON_SHAPE, field, "axes >= 0", str(list(shape)))
    data = tensor.data  # every look at it makes a copy
    if len(data) != math.prod(shape) * dtype.itemsize:
        expected = f"{math.prod(shape) * dtype.itemsize} bytes for {dtype.name} {list(shape)}"
        raise Refused(policy_pb2.REASON_SHAPE, field, expected, f"{len(data)} bytes")
    return np.frombuffer(data, dtype).reshape(shape)


def from_numbers(data: bytes, field: str, rows: int | None = None) -> NDArray[np.uint32]:
    """Packed uint32 little-endian numbers (copies, steps) as a read-only array.

    Raises:
        Refused: not a multiple of four bytes, or not ``rows`` numbers.
    """
    if len(data) % 4 or (rows is not None and len(data) != 4 * rows):
        expected = "4 bytes a number" if rows is None else f"{rows} numbers of 4 bytes"
        raise Refused(policy_pb2.REASON_SHAPE, field, expected, f"{len(data)} bytes")
    return np.frombuffer(data, "<u4")
