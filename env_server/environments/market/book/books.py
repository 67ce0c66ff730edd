"""Many books at once, compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agora.compiling import cached
from agora.market.messages import MESSAGE
from agora.sources import digest
from env_server.environments.market.book import phases
from env_server.environments.market.book.depth import write_levels
from env_server.environments.market.book.messages import handle_all
from env_server.environments.market.book.queues import OPTIONS
from env_server.environments.market.book.records import RESULT, Phase, book_type
from env_server.environments.market.book.rules import Rules

SOURCES: Final = digest(Path(__file__).parent)


class Compiled(NamedTuple):
    """The engine's entry points."""

    process: Callable[..., None]
    turn: Callable[..., None]
    shift: Callable[..., None]
    depth: Callable[..., None]


@cache
def compiled(sources: str = SOURCES) -> Compiled:
    """The engine, ready to be called with arrays."""

    @cached(**OPTIONS)
    def process(books: NDArray[Any], messages: NDArray[Any], results: NDArray[Any]) -> None:
        sources  # noqa: B018
        for index in range(len(books)):
            handle_all(books[index], messages[index], results[index])

    @cached(**OPTIONS)
    def turn(books: NDArray[Any], phase: int) -> None:
        sources  # noqa: B018
        for index in range(len(books)):
            phases.turn(books[index], phase)

    @cached(**OPTIONS)
    def shift(books: NDArray[Any], bases: NDArray[np.int64]) -> None:
        sources  # noqa: B018
        for index in range(len(books)):
            phases.shift(books[index], bases[index])

    @cached(**OPTIONS)
    def depth(books: NDArray[Any], unit: int, shown: NDArray[np.int64]) -> None:
        sources  # noqa: B018
        prices, sizes = np.zeros(shown.shape[1], np.int64), np.zeros(shown.shape[1], np.int64)
        for index in range(len(books)):
            write_levels(books[index], unit, shown[index], prices, sizes)

    return Compiled(process, turn, shift, depth)


class Books:
    """M books under the same rules.

    Attributes:
        rules: of all of them.
        records: one record a book, see ``records.book_type``; ``records.copy()`` is a snapshot, and writing it back
            restores it.
    """

    def __init__(self, rules: Rules, count: int = 1) -> None:
        """Open empty books.

        Raises:
            ValueError: a size in the rules is not a power of two, or count is not positive.
        """
        if count < 1:
            raise ValueError(f"count: expected >= 1, got {count}")
        self.rules = rules
        self.records = np.zeros(count, book_type(rules.slots, rules.prices, rules.accounts, rules.events))
        for name in ("base", "maker_fee", "taker_fee", "self_trade"):
            self.records[name] = getattr(rules, name)
        self.records["next_id"] = 1
        self.records["accounts"]["limit"] = rules.position_limit

    def process(self, messages: NDArray[Any]) -> NDArray[Any]:
        """Handle messages in their order.

        Args:
            messages: MESSAGE (M, K); of kind 0 where a book has fewer than K.

        Returns:
            RESULT (M, K).

        Raises:
            ValueError: not such an array.
        """
        if messages.dtype != MESSAGE or messages.ndim != 2 or len(messages) != len(self.records):
            shape = f"({len(self.records)}, K)"
            raise ValueError(f"messages: expected MESSAGE {shape}, got {messages.dtype} {messages.shape}")
        results = np.zeros(messages.shape, RESULT)
        compiled().process(self.records, messages, results)
        return results

    def turn(self, phase: Phase) -> None:
        """Enter a phase: an auction that ends is uncrossed, and a close cancels day orders."""
        compiled().turn(self.records, int(phase))

    def shift(self, bases: NDArray[np.int64]) -> None:
        """Move the ladders to other lowest prices, int64 (M,); orders outside are cancelled."""
        compiled().shift(self.records, bases)

    def events(self, index: int, since: int) -> NDArray[Any]:
        """A book's events from the one with that number on, EVENT (count,).

        Raises:
            LookupError: the feed does not go back so far.
        """
        record = self.records[index]
        fed, kept = int(record["fed"]), len(record["feed"])
        if fed - since > kept:
            raise LookupError(f"since: expected >= {fed - kept}, got {since}")
        events: NDArray[Any] = record["feed"][np.arange(since, fed) % kept]
        return events
