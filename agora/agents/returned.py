"""What an author's ``act`` returned, checked and cast: the wire gets legal actions or words that name what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import Array, choices_of, output_width
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

Masks = Sequence[NDArray[np.uint8] | None]


class Returned:
    """Reads what ``act`` returns for one agent."""

    def __init__(self, leaves: Sequence[Leaf]) -> None:
        self._leaves = [_ReturnedLeaf(leaf) for leaf in leaves]
        self._bare = [leaf.path for leaf in leaves] == [""]
        self._paths = {leaf.path for leaf in leaves}

    def read(self, value: object, rows: int, masks: Masks) -> list[Array]:
        """The action's leaves, each of its dtype (rows, ...).

        Raises:
            Refused: REASON_MODEL: another structure, shape or type, not finite, out of bounds, or masked.
        """
        if self._bare:
            return [self._leaves[0].read(value, rows, masks[0])]
        if not isinstance(value, Mapping) or set(value) != self._paths:
            got = f"keys {sorted(map(str, value))}" if isinstance(value, Mapping) else _describe(value)
            raise _wrong("", f"a dict of {sorted(self._paths)}", got)
        return [leaf.read(value[leaf.path], rows, mask) for leaf, mask in zip(self._leaves, masks, strict=True)]


class _ReturnedLeaf:
    def __init__(self, leaf: Leaf) -> None:
        self._leaf, self.path = leaf, leaf.path
        self._ends = np.cumsum(choices_of(leaf)).astype(np.int64)
        self._starts = self._ends - np.asarray(choices_of(leaf), np.int64)

    def read(self, value: object, rows: int, mask: NDArray[np.uint8] | None) -> Array:
        """One leaf (rows, ...)."""
        leaf = self._leaf
        if _is(value, leaf, rows) and leaf.holds(value) and (mask is None or not len(self._ends)):
            return np.ascontiguousarray(value)
        expected = f"{leaf.dtype.name} {[rows, *leaf.shape]}"
        try:
            returned: Array = np.asarray(value)
        except Exception as error:
            raise _wrong(self.path, expected, f"{_describe(value)}: {error}") from error
        kinds, kind_words = ("fiub", "numbers") if leaf.dtype.kind == "f" else ("iub", "whole numbers")
        if returned.shape != (rows, *leaf.shape) or returned.dtype.kind not in kinds:
            raise _wrong(self.path, f"{expected}, or other {kind_words}", _describe(value))
        values = self._cast(returned)
        try:
            leaf.check(values, rows, "act")
        except Refused as refused:
            raise _wrong(self.path, f"{expected} of {refused.expected}", refused.got) from None
        if mask is not None and len(self._ends):
            self._check_legal(values, mask)
        return np.ascontiguousarray(values)

    def _cast(self, values: Array) -> Array:
        """The same numbers in the leaf's type."""
        dtype = self._leaf.dtype
        if values.dtype == dtype:
            return values
        with np.errstate(over="ignore"):
            cast = values.astype(dtype)
        if dtype.kind != "f" and not np.array_equal(cast, values):
            raise _wrong(self.path, f"numbers that fit {dtype.name}", _describe(values))
        return cast

    def _check_legal(self, values: Array, mask: NDArray[np.uint8]) -> None:
        picked = (values - self._leaf.low).reshape(len(values), -1) + self._starts
        legal = np.take_along_axis(mask.reshape(len(values), -1), picked.astype(np.int64), axis=1)
        if not legal.all():
            row, element = (int(i) for i in np.argwhere(legal == 0)[0])
            got = f"{values.reshape(len(values), -1)[row, element]} in row {row}, which the mask forbids"
            raise _wrong(self.path, "legal choices", got)


def _is(value: object, leaf: Leaf, rows: int) -> TypeGuard[Array]:
    return isinstance(value, np.ndarray) and value.dtype == leaf.dtype and value.shape == (rows, *leaf.shape)


def legal_of(leaf: Leaf, mask: NDArray[np.uint8] | None, rows: int) -> NDArray[np.uint8]:
    """The mask as authors see it: ones where the game sent none."""
    if mask is not None:
        return mask
    shape = (output_width(leaf),) if choices_of(leaf) else leaf.shape
    return np.broadcast_to(np.uint8(1), (rows, *shape))


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name} {list(value.shape)}"
    return f"a {type(value).__name__}"


def _wrong(path: str, expected: str, got: Any) -> Refused:
    return Refused(policy_pb2.REASON_MODEL, f"act.{path}" if path else "act", expected, str(got))
