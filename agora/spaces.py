"""Gymnasium spaces ↔ ``agora.v1.Space``, and the leaves in which their values travel."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.codec import from_tensor, is_carried, to_tensor
from agora.errors import Refused
from agora.v1 import policy_pb2, space_pb2 as pb

Space = spaces.Space[Any]
Value = TypeVar("Value")
MAX_DEPTH = 16
KEY = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
"""What a ``Dict`` may call its members: a dot is what paths are made with, and all else means something to somebody."""
_LIMITS = np.iinfo(np.int64)


@dataclass(frozen=True)
class Leaf:
    """One tensor of a space's values.

    Attributes:
        path: dotted path in the space; empty if the space is itself a leaf.
        dtype: element type.
        shape: of one value, without the leading axis of rows.
        low, high: inclusive bounds that broadcast to ``shape``; open bounds are the dtype's largest finite numbers.
        choices: number of choices of each element for Discrete and MultiDiscrete leaves, else empty.
    """

    path: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    low: NDArray[Any]
    high: NDArray[Any]
    choices: tuple[int, ...] = ()
    _one_bound: tuple[float, float] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        low, high = np.asarray(self.low), np.asarray(self.high)
        if low.ndim == 0 and high.ndim == 0:
            object.__setattr__(self, "_one_bound", (low.item(), high.item()))

    def check(self, values: NDArray[Any], rows: int, field: str) -> None:
        """Refuse values that are not ``rows`` values of this leaf.

        Raises:
            Refused: wrong dtype, wrong shape, not finite, or out of bounds.
        """
        if values.dtype != self.dtype:
            raise Refused(policy_pb2.REASON_DATA_TYPE, field, self.dtype.name, values.dtype.name)
        if values.shape != (rows, *self.shape):
            raise Refused(policy_pb2.REASON_SHAPE, field, str([rows, *self.shape]), str(list(values.shape)))
        if self.holds(values):
            return
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise Refused(policy_pb2.REASON_NOT_FINITE, field, "finite numbers", f"{values[where]} at {list(where)}")
        if values.dtype.kind == "b" and values.view(np.uint8).max() > 1:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, "bytes 0 and 1", str(values.view(np.uint8).max()))
        outside = (values < self.low) | (values > self.high)
        where = tuple(int(i) for i in np.argwhere(outside)[0])
        low, high = (np.broadcast_to(bound, values.shape)[where] for bound in (self.low, self.high))
        got = f"{values[where]} at {list(where)}"
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, field, f"[{low}, {high}]", got)

    def holds(self, values: NDArray[Any]) -> bool:
        """Whether values of this leaf's dtype, in any number of rows, are finite and inside the bounds."""
        # A NaN makes both comparisons false.
        if not values.size:
            return True
        if values.dtype.kind == "b":
            # Bytes that came over the wire may be anything, and NumPy takes them as they are.
            return bool(values.view(np.uint8).max() <= 1) and bool(((values >= self.low) & (values <= self.high)).all())
        if self._one_bound is not None:
            low, high = self._one_bound
            # argmin and argmax stop at the first NaN as min and max do, and take a third of their time.
            return bool(values.item(values.argmin()) >= low and values.item(values.argmax()) <= high)
        return bool((values >= self.low).all() and (values <= self.high).all())


def leaves(space: Space) -> tuple[Leaf, ...]:
    """The space's leaves in the order in which they travel; a MultiDiscrete of several axes travels flat.

    Raises:
        Refused: what the contract cannot carry: a kind of space (Text, Graph, Sequence, OneOf), a dtype, a key, a
            MultiDiscrete that does not start at 0, bounds that are no numbers or in the wrong order, choices beyond
            int64, an empty ``MultiDiscrete`` or ``MultiBinary``, or more than ``MAX_DEPTH`` levels.
    """
    return tuple(_leaves(space, "", 0))


def check_carried(space: Space, field: str) -> None:
    """Refuse an agent's space that the contract cannot carry, or that has a part without a number in it.

    Raises:
        Refused: see ``leaves``; its field begins with ``field``.
    """
    try:
        members = leaves(space)
    except Refused as refused:
        raise refused.under(field) from refused
    if _has_empty(space) or any(0 in leaf.shape for leaf in members):
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, "at least one number in every part", str(space))


def _has_empty(space: Space) -> bool:
    """Whether there is a ``Dict`` or ``Tuple`` without members, however deep."""
    if not isinstance(space, spaces.Dict | spaces.Tuple):
        return False
    inner = list(space.spaces.values()) if isinstance(space, spaces.Dict) else list(space.spaces)
    return not inner or any(map(_has_empty, inner))


def _leaves(space: Space, path: str, depth: int) -> Iterator[Leaf]:
    if depth > MAX_DEPTH:
        raise _cannot(path, f"at most {MAX_DEPTH} levels", "more")
    match space:
        case spaces.Dict():
            for key, member in space.spaces.items():
                if not isinstance(key, str) or not KEY.fullmatch(key):
                    raise _cannot(path, "keys of 1 to 128 letters, digits, '_' and '-'", repr(key)[:200])
                yield from _leaves(member, f"{path}.{key}" if path else key, depth + 1)
        case spaces.Tuple():
            for number, member in enumerate(space.spaces):
                yield from _leaves(member, f"{path}.{number}" if path else str(number), depth + 1)
        case _:
            yield _leaf(space, path)


def _leaf(space: Space, path: str) -> Leaf:
    zero = np.zeros((), np.int64)
    match space:
        case spaces.Box():
            _check_box(space, path)
            return Leaf(path, space.dtype, space.shape, _squeeze(_finite(space.low)), _squeeze(_finite(space.high)))
        case spaces.Discrete():
            _check_discrete(space, path)
            low = np.asarray(space.start, np.int64)
            return Leaf(path, np.dtype(np.int64), (), low, low + np.int64(space.n - 1), (int(space.n),))
        case spaces.MultiDiscrete():
            _check_multi_discrete(space, path)
            most = space.nvec.astype(np.int64).ravel() - 1
            return Leaf(path, np.dtype(np.int64), most.shape, zero, most, tuple(int(n) + 1 for n in most))
        case spaces.MultiBinary():
            if not space.shape or min(space.shape) < 1:
                raise _cannot(path, "a MultiBinary with at least one element", str(space))
            return Leaf(path, np.dtype(np.int8), space.shape, zero.astype(np.int8), np.ones((), np.int8))
    raise _cannot(path, "Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple", type(space).__name__)


def _check_box(space: spaces.Box, path: str) -> None:
    if not is_carried(space.dtype):
        raise _cannot(path, "a boolean, integer, float32 or float64 dtype", str(space.dtype))
    low, high = space.low, space.high
    if not (low <= high).all():  # a NaN is neither
        raise _cannot(path, "bounds that are numbers, low <= high", str(space))
    if low.dtype.kind == "f" and (np.isposinf(low).any() or np.isneginf(high).any()):
        raise _cannot(path, "a finite number between the bounds", str(space))


def _check_discrete(space: spaces.Discrete, path: str) -> None:
    if not _LIMITS.min <= int(space.start) <= _LIMITS.max - int(space.n) + 1:
        raise _cannot(path, "choices within int64", str(space))


def _check_multi_discrete(space: spaces.MultiDiscrete, path: str) -> None:
    if np.any(space.start):
        raise _cannot(path, "a MultiDiscrete that starts at 0", str(space))
    if not space.nvec.size:
        raise _cannot(path, "a MultiDiscrete with at least one element", str(space))


def _cannot(path: str, expected: str, got: str) -> Refused:
    return Refused(policy_pb2.REASON_SPEC_MISMATCH, path or "space", expected, got)


def _finite(bound: NDArray[Any]) -> NDArray[Any]:
    return np.nan_to_num(bound) if bound.dtype.kind == "f" else bound


def _squeeze(bound: NDArray[Any]) -> NDArray[Any]:
    """One element where all are the same: checks and messages get smaller."""
    return bound.ravel()[0] if bound.size and bool((bound == bound.ravel()[0]).all()) else bound


def ordered(values: Mapping[str, Value], members: Sequence[Leaf]) -> list[Value]:
    """What is named by leaves' paths, in the order in which they travel.

    Raises:
        Refused: a leaf is missing, or one is there that the space does not have.
    """
    paths = [leaf.path for leaf in members]
    if len(values) != len(paths) or not all(path in values for path in paths):
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "leaves", str(sorted(paths)), str(sorted(values)))
    return [values[path] for path in paths]


def to_proto(space: Space) -> pb.Space:
    """A Gymnasium space as a message.

    Raises:
        Refused: what the contract cannot carry; see ``leaves``.
    """
    leaves(space)
    return _message(space)


def _message(space: Space) -> pb.Space:
    match space:
        case spaces.Box():
            low, high = _squeeze(space.low), _squeeze(space.high)
            one = not low.shape and not high.shape
            low, high = (low, high) if one else (space.low, space.high)
            shape = space.shape if one else ()
            return pb.Space(box=pb.BoxSpace(low=to_tensor(low), high=to_tensor(high), shape=shape))
        case spaces.Discrete():
            return pb.Space(discrete=pb.DiscreteSpace(n=int(space.n), start=int(space.start)))
        case spaces.MultiDiscrete():
            return pb.Space(multi_discrete=pb.MultiDiscreteSpace(nvec=[int(n) for n in space.nvec.ravel()]))
        case spaces.MultiBinary():
            return pb.Space(multi_binary=pb.MultiBinarySpace(shape=space.shape))
        case spaces.Dict():
            members = [pb.DictSpace.Member(key=k, space=_message(s)) for k, s in space.spaces.items()]
            return pb.Space(dict=pb.DictSpace(members=members))
        case spaces.Tuple():
            return pb.Space(tuple=pb.TupleSpace(members=[_message(s) for s in space.spaces]))
    raise AssertionError("leaves() refuses what is not listed above")


def from_proto(message: pb.Space, field: str = "space", depth: int = 0) -> Space:
    """A message as a Gymnasium space.

    Raises:
        Refused: nothing set, malformed bounds, or nested deeper than ``MAX_DEPTH``.
    """
    if depth > MAX_DEPTH:
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, f"at most {MAX_DEPTH} levels", "more")
    match message.WhichOneof("kind"):
        case "box":
            return _box(message.box, field)
        case "discrete" if message.discrete.n >= 1:
            return spaces.Discrete(message.discrete.n, start=message.discrete.start)
        case "multi_discrete" if min(message.multi_discrete.nvec, default=0) >= 1:
            return spaces.MultiDiscrete(list(message.multi_discrete.nvec))
        case "multi_binary" if min(message.multi_binary.shape, default=0) >= 1:
            shape = list(message.multi_binary.shape)
            return spaces.MultiBinary(shape if len(shape) > 1 else shape[0])
        case "dict":
            pairs = [(m.key, from_proto(m.space, f"{field}.{m.key}", depth + 1)) for m in message.dict.members]
            if len({key for key, _ in pairs}) == len(pairs):
                return spaces.Dict(pairs)
        case "tuple":
            members = [from_proto(m, f"{field}[{i}]", depth + 1) for i, m in enumerate(message.tuple.members)]
            return spaces.Tuple(members)
    raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, "a well-formed space", str(message).strip() or "nothing")


def _box(message: pb.BoxSpace, field: str) -> spaces.Box:
    low, high = from_tensor(message.low, f"{field}.low"), from_tensor(message.high, f"{field}.high")
    shape = tuple(message.shape) if low.ndim == 0 and high.ndim == 0 else low.shape
    try:
        low, high = np.broadcast_to(low, shape), np.broadcast_to(high, shape)
        return spaces.Box(low, high, shape, dtype=low.dtype.type)
    except (ValueError, AssertionError, TypeError) as error:
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, field, "bounds that fit the shape", str(error)) from error
