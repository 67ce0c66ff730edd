"""NumPy arrays ↔ dm_env_rpc's tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.environments.base import Array
from env_server.gateways.dm_env_rpc import wire_pb2 as pb

Payload = pb.Tensor | pb.TensorSpec.Value


@dataclass(frozen=True)
class Kind:
    """How arrays of a dtype travel.

    Attributes:
        payload: the tensor's field that holds them.
        data_type: its name in specs.
        dtype: of the elements on the wire.
        packed: whether the field holds the array's own bytes.
    """

    payload: str
    data_type: pb.DataType.ValueType
    dtype: np.dtype[Any]
    packed: bool


_KINDS = {
    kind.dtype: kind
    for kind in (
        Kind("floats", pb.FLOAT, np.dtype("<f4"), True),
        Kind("doubles", pb.DOUBLE, np.dtype("<f8"), True),
        Kind("int8s", pb.INT8, np.dtype("i1"), True),
        Kind("int32s", pb.INT32, np.dtype("<i4"), False),
        Kind("int64s", pb.INT64, np.dtype("<i8"), False),
        Kind("uint8s", pb.UINT8, np.dtype("u1"), True),
        Kind("uint32s", pb.UINT32, np.dtype("<u4"), False),
        Kind("uint64s", pb.UINT64, np.dtype("<u8"), False),
        Kind("bools", pb.BOOL, np.dtype("?"), False),
    )
}
_WIDER = {np.dtype("i2"): np.dtype("i4"), np.dtype("u2"): np.dtype("u4")}


def kind_of(dtype: np.dtype[Any], name: str) -> Kind:
    """How arrays of ``dtype`` travel; those that dm_env_rpc lacks go as the next larger ones.

    Raises:
        Refused: no number (``name`` is the field).
    """
    kind = _KINDS.get(_WIDER.get(dtype, dtype))
    if kind is None:
        raise Refused(policy_pb2.REASON_DATA_TYPE, name, "a boolean, integer or real dtype", str(dtype))
    return kind


def fill(message: Payload, kind: Kind, array: Array) -> None:
    """Write an array's elements into an empty message; its shape is left to the caller."""
    payload = getattr(message, kind.payload)
    values = array.astype(kind.dtype, copy=False)
    payload.SetInParent()
    if kind.packed:
        payload.array = values.tobytes()
    else:
        payload.array.extend(values.ravel().tolist())


def read(tensor: pb.Tensor, kind: Kind, shape: tuple[int, ...], field: str) -> Array:
    """A tensor as an array of ``shape``: one axis may be given as -1, and one element fills all of it.

    Raises:
        Refused: another type, other axes, or a number of elements that does not fit.
    """
    payload = tensor.WhichOneof("payload")
    if payload != kind.payload:
        raise Refused(policy_pb2.REASON_DATA_TYPE, field, kind.payload, str(payload))
    values, size = _elements(tensor, kind, field), math.prod(shape)
    axes = tuple(tensor.shape)
    if axes != shape and not _fits(axes, shape):
        raise Refused(policy_pb2.REASON_SHAPE, field, str(list(shape)), str(list(axes)))
    if values.size == size:
        return values.reshape(shape)
    if values.size != 1:
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{size} elements, or 1 for all", f"{values.size} elements")
    return np.full(shape, values[0])


def _fits(axes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    open_axes = sum(axis < 0 for axis in axes)
    return (
        len(axes) == len(shape)
        and open_axes <= 1
        and all(axis in (wanted, -1) for axis, wanted in zip(axes, shape, strict=True))
    )


def _elements(tensor: pb.Tensor, kind: Kind, field: str) -> NDArray[Any]:
    numbers = getattr(tensor, kind.payload).array
    if not kind.packed:
        return np.fromiter(numbers, kind.dtype, len(numbers))
    if len(numbers) % kind.dtype.itemsize:
        expected = f"{kind.dtype.itemsize} bytes an element"
        raise Refused(policy_pb2.REASON_SHAPE, field, expected, f"{len(numbers)} bytes")
    return np.frombuffer(numbers, kind.dtype)
