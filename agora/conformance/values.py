"""Legal values of spaces, and whether values are legal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.codec import from_tensor, to_tensor
from agora.conformance.case import expect
from agora.randomness import uniform_rows
from agora.spaces import Leaf
from agora.v1 import tensor_pb2

Array = NDArray[Any]
_FAR = 10.0
"""How far random values reach where a leaf has no bound."""


def choices(leaf: Leaf) -> tuple[int, ...]:
    """Number of choices of each element of a discrete leaf, two for a bit; empty for a Box."""
    if leaf.choices:
        return leaf.choices
    bits = leaf.dtype == np.int8 and np.all(leaf.low == 0) and np.all(leaf.high == 1)
    return (2,) * math.prod(leaf.shape) if bits else ()


def masks_apply(leaf: Leaf) -> bool:
    """Whether a mask names legal choices of this leaf."""
    return bool(leaf.choices)


def legal(leaf: Leaf, rows: Array, key: int) -> Array:
    """Legal values (len(rows), ...), keyed by ``key`` and each row's number alone."""
    low, high = _within(leaf)
    shares = uniform_rows(rows.astype(np.uint32), math.prod(leaf.shape), 0, key).astype(np.float64)
    values = low + (high - low) * shares.reshape(len(rows), *leaf.shape)
    if leaf.dtype.kind != "f":
        return np.asarray(np.rint(values), leaf.dtype)
    return np.asarray(np.minimum(np.maximum(values.astype(leaf.dtype), leaf.low), leaf.high), leaf.dtype)


def _within(leaf: Leaf) -> tuple[Array, Array]:
    low, high = (np.broadcast_to(bound, leaf.shape).astype(np.float64) for bound in (leaf.low, leaf.high))
    if choices(leaf):
        return low, high
    low = np.where(low < -1e9, np.minimum(high, 0.0) - _FAR * (high > 0.0), low)
    return low, np.minimum(high, np.maximum(low, 0.0) + _FAR) if (high > 1e9).any() else high


def edge(leaf: Leaf, rows: int, *, upper: bool) -> Array:
    """``rows`` values on a bound of a leaf."""
    bound = leaf.high if upper else leaf.low
    return np.ascontiguousarray(np.broadcast_to(bound, (rows, *leaf.shape)), leaf.dtype)


def random_mask(leaf: Leaf, rows: Array, key: int) -> NDArray[np.uint8]:
    """A mask uint8 (n, sum of choices) that leaves at least one legal choice of every element, keyed as ``legal``."""
    shares = uniform_rows(rows.astype(np.uint32), sum(choices(leaf)), 1, key)
    mask = (shares < 0.4).astype(np.uint8)
    start = 0
    for count in choices(leaf):
        part = slice(start, start + count)
        best = shares[:, part].argmin(axis=1)
        mask[np.arange(len(rows)), start + best] = 1
        start += count
    return mask


def lone_mask(leaf: Leaf, rows: int, *, last: bool) -> NDArray[np.uint8]:
    """A mask that leaves the first or the last choice of every element only."""
    mask = np.zeros((rows, sum(choices(leaf))), np.uint8)
    ends = np.cumsum(choices(leaf))
    mask[:, ends - 1 if last else ends - np.asarray(choices(leaf))] = 1
    return mask


def tensors(values: Sequence[Array]) -> list[tensor_pb2.Tensor]:
    """Arrays as messages."""
    return [to_tensor(array) for array in values]


def expect_leaves(sent: Sequence[tensor_pb2.Tensor], members: Sequence[Leaf], rows: int, field: str) -> list[Array]:
    """Fail unless tensors are ``rows`` legal values of a space; the arrays.

    Raises:
        Failed: another number of leaves.
        Refused: a leaf has another dtype or shape, is not finite or out of bounds.
    """
    expect(len(sent) == len(members), f"{field}: {len(members)} leaves", len(sent))
    arrays = []
    for number, (tensor, leaf) in enumerate(zip(sent, members, strict=True)):
        array = from_tensor(tensor, f"{field}[{number}]")
        leaf.check(array, rows, f"{field}[{number}]")
        arrays.append(array)
    return arrays


def expect_unmasked(action: Array, mask: Array, leaf: Leaf, field: str) -> None:
    """Fail unless every choice of a discrete action (n, ...) is legal by a mask (n, sum of choices).

    Raises:
        Failed: a choice is not legal.
    """
    start = 0
    chosen = action.reshape(len(action), -1).astype(np.int64) - np.asarray(leaf.low).astype(np.int64)
    for element, count in enumerate(choices(leaf)):
        part = mask[:, start : start + count]
        fine = part[np.arange(len(action)), chosen[:, element]] != 0
        if not fine.all():
            row = int(np.argmin(fine))
            legal_ones = np.flatnonzero(part[row]).tolist()
            expect(False, f"{field}: in row {row} one of the choices {legal_ones}", int(chosen[row, element]))
        start += count
