"""What a trader may ask of a market."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

MAX_SIZE: Final = 1_000_000
"""Lots that one order may have."""


class Kind(IntEnum):
    """What a message asks for."""

    NOTHING = 0
    LIMIT = 1
    """Trade up to the price, rest with what is left."""
    DAY = 2
    """A limit order that is cancelled when the market closes."""
    POST = 3
    """A limit order that is rejected if it would trade."""
    IOC = 4
    """Trade up to the price, cancel what is left."""
    FOK = 5
    """Trade all of it up to the price, or nothing."""
    MARKET = 6
    """Trade at any price, cancel what is left."""
    STOP = 7
    """Wait until the market trades at the price or beyond it, then be a market order."""
    CANCEL = 8
    REDUCE = 9
    """Take ``size`` lots off a resting order, which keeps its place; all of them cancel it."""
    REPLACE = 10
    """Give a resting order another price and size; it keeps its place if only the size falls."""


class Reason(IntEnum):
    """Why a message was rejected."""

    ACCEPTED = 0
    BAD_KIND = 1
    BAD_AGENT = 2
    BAD_SIDE = 3
    BAD_SIZE = 4
    OFF_LADDER = 5
    UNKNOWN_ORDER = 6
    NOT_YOURS = 7
    POSITION_LIMIT = 8
    BOOK_FULL = 9
    WOULD_TRADE = 10
    """Post-only."""
    NOT_FILLED = 11
    """Fill or kill."""
    WRONG_PHASE = 12


MESSAGE: Final = np.dtype(
    [("kind", "i4"), ("agent", "i4"), ("side", "i4"), ("price", "i4"), ("size", "i8"), ("id", "i8")]
)
"""``side``: 0 buys, 1 sells. ``price`` in ticks, ``size`` in lots. ``id``: of the order to cancel, reduce or replace;
new orders are given one."""
