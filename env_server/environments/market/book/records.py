"""What a book is made of: arrays of records that the compiled engine, its users and the oracle share.

Prices are whole ticks, sizes whole lots, cash is counted in thousandths of a tick times a lot, so that fees are whole
too. Nothing here is a float.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np

from agora.market.messages import MAX_SIZE

CASH: Final = 1_000
"""Cash units that one lot costs per tick; fees are in the same units per lot."""
MAX_PRICE: Final = 2**30
"""Ticks; the ladder ends before it."""


class Phase(IntEnum):
    """What the market does with messages."""

    CONTINUOUS = 0
    AUCTION = 1
    """Orders rest, even crossed, until the uncross."""
    HALTED = 2
    """Only cancelling and reducing."""
    CLOSED = 3
    """The same; day orders are gone."""


class SelfTrade(IntEnum):
    """What happens where an agent's order meets another of its own."""

    ALLOWED = 0
    CANCEL_RESTING = 1
    CANCEL_INCOMING = 2
    DECREMENT = 3
    """Both lose the smaller one's size."""


class Feed(IntEnum):
    """Kinds of events. Where LOBSTER has the kind, the number is LOBSTER's."""

    RESTED = 1
    REDUCED = 2
    DELETED = 3
    EXECUTED = 4
    """A resting order, by an incoming one."""
    CROSSED = 6
    """A bid (``id``) with an ask (``other``), in an uncross."""
    TRIGGERED = 8
    """A stop, which now is a market order."""


class Lane(IntEnum):
    """Queues of a book; ``lane & 1`` is the side of its orders."""

    BID = 0
    ASK = 1
    BUY_STOP = 2
    SELL_STOP = 3


RESULT: Final = np.dtype([("id", "i8"), ("filled", "i4"), ("reason", "i4")])
"""``id``: of the order, 0 if none was made. ``filled``: lots traded at once."""
EVENT: Final = np.dtype(
    [
        ("id", "i8"),
        ("other", "i8"),
        ("price", "i4"),
        ("size", "i4"),
        ("agent", "i4"),
        ("other_agent", "i4"),
        ("kind", "i2"),
        ("lane", "i2"),
        ("time", "i4"),
    ]
)
"""A change of the book: ``id``, ``agent`` and ``lane`` are the resting order's, ``other`` the incoming one's."""
ORDER: Final = np.dtype(
    [
        ("agent", "u4"),
        ("price", "i4"),
        ("size", "i4"),
        ("next", "u4"),
        ("prev", "u4"),
        ("lane", "i2"),
        ("kind", "i2"),
    ]
)
"""A resting order; ``size`` is what is left of it, 0 in a free slot. Its id is in ``resting``. What
is an index is unsigned: numba looks whether others are below 0, and counts those from the end."""
ACCOUNT: Final = np.dtype(
    [
        ("cash", "i8"),
        ("shares", "i8"),
        ("open", "i8", (2,)),
        ("fees", "i8"),
        ("volume", "i8"),
        ("rejected", "i4"),
        ("reason", "i4"),
        ("limit", "i8"),
    ]
)
"""``open``: lots of its resting bids and asks. ``reason``: of the last rejection. ``limit``: of |position|."""
STATE: Final[list[Any]] = [
    ("best", "i8", (4,)),
    ("count", "i8", (4,)),
    ("queues", "i8", (4,)),
    ("live", "i8"),
    ("next_id", "i8"),
    ("last", "i8"),
    ("base", "i8"),
    ("fed", "i8"),
    ("time", "i8"),
    ("phase", "i8"),
    ("maker_fee", "i8"),
    ("taker_fee", "i8"),
    ("self_trade", "i8"),
    ("collected", "i8"),
]
"""What a book knows beside its queues. ``best``: price at the front of each lane that has orders. ``count``,
``queues``: its orders, and prices where there are some. ``last``: price of the last trade, 0 before the first.
``base``: lowest price of the ladder. ``fed``: events so far; in a market, of the step. ``collected``: fees less
rebates, in cash units."""


def level_type(slots: int) -> np.dtype[np.void]:
    """The queue at a price: slots of its first and last order (only while there are some), and lots in all.

    Small where the numbers allow, as orders are at many prices, which all need to be in the cache.
    """
    small = slots * MAX_SIZE < 2**31
    slot, lots = ("u2", "i4") if small else ("u4", "i8")
    return np.dtype([("head", slot), ("tail", slot), ("total", lots)])


def book_type(slots: int, prices: int, accounts: int, events: int) -> np.dtype[np.void]:
    """One book as one record, so that many books are one array and a snapshot is its copy.

    ``resting``: id of the order in a slot, 0: none; apart from the orders, as most who ask only want to know that.

    Args:
        slots: orders that can rest, a power of two; the order with id i lies in slot i mod slots.
        prices: of the ladder, a power of two; the queue at price p lies at p mod prices.
        accounts: agents.
        events: that the feed keeps, a power of two; the newest lies at (fed - 1) mod events.

    Raises:
        ValueError: a size is not positive, or not a power of two where it should be.
    """
    for name, size in (("slots", slots), ("prices", prices), ("events", events)):
        if size < 1 or size & (size - 1):
            raise ValueError(f"{name}: expected a power of two, got {size}")
    if accounts < 1:
        raise ValueError(f"accounts: expected >= 1, got {accounts}")
    parts: list[Any] = [
        ("resting", "i8", (slots,)),
        ("orders", ORDER, (slots,)),
        ("levels", level_type(slots), (len(Lane), prices)),
        ("accounts", ACCOUNT, (accounts,)),
        ("feed", EVENT, (events,)),
    ]
    return np.dtype(STATE + parts)
