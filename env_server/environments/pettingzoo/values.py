"""Values of an environment's own spaces ↔ leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.spaces import Leaf, Space, leaves
from env_server.environments.base import Array


@dataclass(frozen=True)
class Member:
    """One leaf of a space's values, and the way to it.

    Attributes:
        leaf: as it travels.
        way: keys and places from the value to the leaf.
    """

    leaf: Leaf
    way: tuple[Any, ...]

    def find(self, value: Any) -> Array:
        """The leaf in ``value``, with the leaf's dtype.

        Raises:
            ValueError: wrong shape, or not a number that this dtype can hold.
            LookupError, TypeError: it is not there.
        """
        for key in self.way:
            value = value[key]
        found, leaf = np.asarray(value), self.leaf
        if leaf.choices and leaf.shape:
            found = found.ravel()  # a MultiDiscrete of several axes travels flat
        if found.shape != leaf.shape:
            raise ValueError(f"{leaf.path or 'observation'}: expected shape {leaf.shape}, got {found.shape}")
        if found.dtype == leaf.dtype:
            return found
        with np.errstate(invalid="ignore", over="ignore"):
            cast = found.astype(leaf.dtype)
        if leaf.dtype.kind != "f" and not np.array_equal(cast, found):
            raise ValueError(f"{leaf.path or 'observation'}: expected values of {leaf.dtype}, got {found}")
        return cast


def members(space: Space) -> list[Member]:
    """The members in the order in which they travel.

    Raises:
        Refused: a kind of space that the contract does not have.
    """
    return [Member(leaf, way) for leaf, way in zip(leaves(space), _ways(space), strict=True)]


def _ways(space: Space) -> Iterator[tuple[Any, ...]]:
    inner: Iterator[tuple[Any, Space]]
    match space:
        case spaces.Dict():
            inner = iter(space.spaces.items())
        case spaces.Tuple():
            inner = iter(enumerate(space.spaces))
        case _:
            yield ()
            return
    for key, member in inner:
        for way in _ways(member):
            yield (key, *way)


def native(space: Space, columns: Mapping[str, Array], path: str = "") -> Sequence[Any]:
    """Rows of leaves as values of the types that the environment expects.

    Args:
        space: the environment's own.
        columns: leaves by path, (n, ...), as they travel.
        path: of ``space`` in the whole.

    Returns:
        n values: int for Discrete, arrays of the space's shape and dtype, dict and tuple of such.
    """
    match space:
        case spaces.Discrete():
            return _own_integers(columns[path])
        case spaces.Dict():
            inner = {key: native(member, columns, _under(path, key)) for key, member in space.spaces.items()}
            return [dict(zip(inner, row, strict=True)) for row in zip(*inner.values(), strict=True)]
        case spaces.Tuple():
            parts = [native(member, columns, _under(path, str(i))) for i, member in enumerate(space.spaces)]
            return list(zip(*parts, strict=True))
    values = columns[path].reshape(-1, *(space.shape or ()))
    return list(values.astype(space.dtype, copy=False))


def _own_integers(column: NDArray[Any]) -> Sequence[int]:
    integers: list[int] = column.tolist()
    return integers


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def flat_mask(mask: Any, width: int) -> NDArray[np.uint8]:
    """A mask of Discrete or MultiDiscrete choices as uint8 (width,).

    Raises:
        ValueError: it has another width.
    """
    nested = isinstance(mask, tuple | list)
    flat = np.concatenate([np.ravel(part) for part in mask]) if nested else np.ravel(mask)
    if flat.shape != (width,):
        raise ValueError(f"action_mask: expected {width} elements, got shape {np.shape(mask)}")
    legal: NDArray[np.bool_] = flat != 0
    return legal.astype(np.uint8)
