"""Things that are slow to make and hold no state between uses: built environments, and links to agent services."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """Keeps up to ``size`` idle things; each is used by one taker at a time."""

    def __init__(self, size: int, close: Callable[[T], Awaitable[None]] | None = None) -> None:
        self._size = size
        self._close = close
        self._idle: OrderedDict[int, tuple[Hashable, T]] = OrderedDict()
        self._given = 0

    def find(self, key: Hashable) -> T | None:
        """An idle thing made under ``key``, taken out of the pool; None if a new one must be made."""
        for number, (held, thing) in reversed(self._idle.items()):
            if held == key:
                del self._idle[number]
                return thing
        return None

    async def give(self, key: Hashable, thing: T) -> None:
        """Hand a thing back for others; the one that was idle longest goes if there are too many."""
        self._given += 1
        self._idle[self._given] = (key, thing)
        while len(self._idle) > self._size:
            _, (_, oldest) = self._idle.popitem(last=False)
            await self.drop(oldest)

    async def close(self) -> None:
        """Drop everything idle."""
        while self._idle:
            _, (_, thing) = self._idle.popitem()
            await self.drop(thing)

    async def drop(self, thing: T) -> None:
        """End a thing that shall not be used again."""
        if self._close is not None:
            await self._close(thing)
