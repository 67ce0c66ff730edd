"""Random messages that fit the book as it stands: most name orders that rest, some are nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from agora.market.messages import MESSAGE, Kind
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.messages import handle
from env_server.environments.market.book.queues import OPTIONS
from env_server.environments.market.book.records import RESULT
from env_server.environments.market.book.rules import Rules

Floats = NDArray[np.float64]

ALL_KINDS: Final = {
    Kind.LIMIT: 0.36,
    Kind.DAY: 0.04,
    Kind.POST: 0.05,
    Kind.IOC: 0.04,
    Kind.FOK: 0.04,
    Kind.MARKET: 0.04,
    Kind.STOP: 0.02,
    Kind.CANCEL: 0.25,
    Kind.REDUCE: 0.06,
    Kind.REPLACE: 0.10,
}
"""Shares of a stream that tries everything."""
COMMON_KINDS: Final = {Kind.LIMIT: 0.5, Kind.CANCEL: 0.385, Kind.REDUCE: 0.043, Kind.MARKET: 0.049, Kind.IOC: 0.023}
"""Shares of the stream that engines are timed on."""

MIDDLE: Final = 512
WIDTH: Final = 10.0
"""Ticks."""
LIMIT, CANCEL, STOP, LAST = int(Kind.LIMIT), int(Kind.CANCEL), int(Kind.STOP), int(Kind.REPLACE)


def shares(kinds: Mapping[Kind, float]) -> Floats:
    """Cumulative shares by kind, (kinds,)."""
    table = np.zeros(LAST + 1)
    for kind, share in kinds.items():
        table[kind] = share
    return np.cumsum(table / table.sum())


@njit(**OPTIONS)
def draw(book: Any, messages: Any, cumulated: Floats, width: float, live: int, nonsense: float) -> None:
    """Fill messages (K,) for one book.

    Args:
        book: as it stands.
        messages: MESSAGE (K,), written.
        cumulated: shares of kinds, as of ``shares``.
        width: mean distance of limits from the middle, exponentially distributed; a tenth of it lies beyond.
        live: orders that should rest; cancels are rarer below and more frequent above.
        nonsense: share of messages with something absurd in them.
    """
    resting = book.live
    for place in range(len(messages)):
        message = messages[place]
        kind = np.searchsorted(cumulated, np.random.random(), side="right")
        if kind == CANCEL and np.random.random() * live > resting + 0.5 * live:
            kind = np.int64(LIMIT)
        side, away = np.random.randint(0, 2), int(-np.log(1.0 - np.random.random()) * width) - int(0.1 * width)
        if kind == STOP:
            away = -away
        message.kind, message.agent, message.side = kind, np.random.randint(0, len(book.accounts)), side
        message.price = MIDDLE + (away + 1 if side else -away)
        message.size, message.id = np.random.randint(1, 10), 0
        if kind >= CANCEL:
            aim(book, message)
        if np.random.random() < nonsense:
            spoil(book, message)
        resting += (kind == LIMIT) - (kind == CANCEL)


@njit(**OPTIONS)
def aim(book: Any, message: Any) -> None:
    """Name an order that rests, if there is one."""
    slot = np.random.randint(0, len(book.orders))
    for _ in range(len(book.orders)):
        if book.resting[slot]:
            message.id, message.agent = book.resting[slot], book.orders[slot].agent
            return
        slot = (slot + 1) & (len(book.orders) - 1)


@njit(**OPTIONS)
def spoil(book: Any, message: Any) -> None:
    """Put something absurd into a message."""
    which, accounts = np.random.randint(0, 6), len(book.accounts)
    if which == 0:
        message.size = -message.size
    elif which == 1:
        message.side = np.random.randint(-3, 5)
    elif which == 2:
        message.agent = np.random.randint(-accounts, 2 * accounts)
    elif which == 3:
        message.price = np.random.randint(-(2**31), 2**31 - 1)
    elif which == 4:
        message.id = np.random.randint(0, book.next_id + 10)
    else:
        message.kind = np.random.randint(-2, 20)


@njit
def seed_draws(seed: int) -> None:
    """Seed what compiled code draws from."""
    np.random.seed(seed)


def recorded(rules: Rules, kinds: Mapping[Kind, float], count: int, seed: int, live: int = 300) -> NDArray[Any]:
    """Messages MESSAGE (count,) that fit one another: each was drawn when those before it had been handled."""
    seed_draws(seed)
    messages = np.zeros(count, MESSAGE)
    _record(Books(rules).records[0], messages, np.zeros(1, RESULT), shares(kinds), WIDTH, live)
    return messages


@njit(**OPTIONS)
def _record(book: Any, messages: Any, results: Any, cumulated: Floats, width: float, live: int) -> None:
    for place in range(len(messages)):
        draw(book, messages[place : place + 1], cumulated, width, live, 0.0)
        handle(book, messages[place], results[0])
