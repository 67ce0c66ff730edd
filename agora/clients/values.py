"""Values of Gymnasium spaces, nested as users have them, and the leaves in which they travel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import Refused
from agora.spaces import Leaf, Space
from agora.v1 import policy_pb2

Array = NDArray[Any]


def split(space: Space, value: Any, field: str) -> Iterator[tuple[str, Any]]:
    """A value's leaves in the order in which they travel, each with its field's name.

    Args:
        space: of one value; ``value`` may be a batch of them.
        value: as users give it.
        field: what to call it in errors: "station_0.action".

    Raises:
        Refused: a member of a ``Dict`` or ``Tuple`` is missing, or one is there that the space does not have.
    """
    if isinstance(space, spaces.Dict):
        if not isinstance(value, Mapping) or set(value) != set(space.spaces):
            got = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
            raise Refused(policy_pb2.REASON_SHAPE, field, f"a mapping with {sorted(space.spaces)}", str(got))
        for key, member in space.spaces.items():
            yield from split(member, value[key], f"{field}.{key}")
    elif isinstance(space, spaces.Tuple):
        if not isinstance(value, Sequence) or len(value) != len(space.spaces):
            raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(space.spaces)} members", repr(value))
        for number, (member, part) in enumerate(zip(space.spaces, value, strict=True)):
            yield from split(member, part, f"{field}.{number}")
    else:
        yield field, value


def join(space: Space, arrays: Iterator[Any]) -> Any:
    """The value whose leaves are ``arrays``, in the order in which they travel; also of batches."""
    if isinstance(space, spaces.Dict):
        return {key: join(member, arrays) for key, member in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(join(member, arrays) for member in space.spaces)
    value = next(arrays)
    return value[()] if isinstance(space, spaces.Discrete) else value


def cast(leaf: Leaf, value: Any, rows: int | None, field: str) -> Array:
    """A leaf's value as the contract wants it: (1, ...), or (rows, ...) of a batch.

    Integers may stand for real numbers, never the other way round.

    Raises:
        Refused: not numbers, of another kind or shape, not finite, or out of bounds.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{leaf.dtype} {list(leaf.shape)}", str(error)) from error
    if array.dtype.kind not in ("biuf" if leaf.dtype.kind == "f" else "biu"):
        raise Refused(policy_pb2.REASON_DATA_TYPE, field, leaf.dtype.name, f"{array.dtype}: {value!r}"[:80])
    array = array if rows is not None else array[None]
    if leaf.dtype.kind in "iu" and array.size:
        info = np.iinfo(leaf.dtype)
        if array.min() < info.min or array.max() > info.max:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, f"[{info.min}, {info.max}]", f"{value!r}"[:80])
    if leaf.dtype.kind == "b" and not ((array == 0) | (array == 1)).all():
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, "False and True", f"{value!r}"[:80])
    array = array.astype(leaf.dtype)
    leaf.check(array, 1 if rows is None else rows, field)
    return array


def one(array: Array) -> Array:
    """The first of a batch's values, for the caller to keep."""
    return np.array(array[0])


def mask(space: Space, arrays: Iterator[Array | None], whole: bool) -> Any:
    """A legal-action mask in the form that ``space.sample(mask)`` takes, or, if ``whole``, a batch of those.

    Gymnasium has masks for discrete choices only: for other leaves it is None.
    """
    if isinstance(space, spaces.Dict):
        return {key: mask(member, arrays, whole) for key, member in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(mask(member, arrays, whole) for member in space.spaces)
    array = next(arrays)
    if array is None or not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        return None
    legal = (array if whole else array[0]).astype(np.int8)
    if isinstance(space, spaces.Discrete):
        return legal
    return tuple(np.split(legal, np.cumsum(space.nvec.ravel())[:-1], axis=-1))
