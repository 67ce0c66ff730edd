"""What a trader sees when it decides, and what makes one trader differ from another."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

OWN_ORDERS: Final = 4
"""Resting orders that a trader keeps track of; a fifth takes the place of the oldest, which is cancelled."""
WINDOW: Final = 128
"""Prices of recent order flow, a power of two; the flow at price p lies at p mod WINDOW."""


class Style(IntEnum):
    """How a trader behaves."""

    SEAT = 0
    """As somebody outside says."""
    NOISE = 1
    TREND = 2
    REVERSION = 3
    MAKER = 4
    FUNDAMENTAL = 5
    ZERO_INTELLIGENCE = 6
    BOOK_READER = 7
    POISSON = 8
    SPOOFER = 9
    """The first of those who manipulate, see ``adversaries``."""
    LAYERING = 10
    QUOTE_STUFFING = 11
    MOMENTUM_IGNITION = 12
    STOP_HUNTING = 13
    """The last of them."""
    PROTECTED = 14
    """Holds stops, which somebody may hunt."""


class Flow(IntEnum):
    """Rows of recent order flow, in lots that fade with age."""

    BIDS = 0
    """Sent, whether they rested or traded."""
    ASKS = 1
    BOUGHT = 2
    """Bids that traded."""
    SOLD = 3


SIGHT: Final = np.dtype(
    [
        ("step", "i8"),
        ("bid", "i8"),
        ("ask", "i8"),
        ("mid", "f8"),
        ("change", "f8"),
        ("average", "f8"),
        ("volatility", "f8"),
        ("signal", "f8"),
        ("shares", "i8"),
        ("count", "i8"),
        ("id", "i8", (OWN_ORDERS,)),
        ("side", "i8", (OWN_ORDERS,)),
        ("price", "i8", (OWN_ORDERS,)),
        ("size", "i8", (OWN_ORDERS,)),
        ("flow", "f8", (len(Flow), WINDOW)),
    ]
)
"""``step``: of the episode, from 1 on. ``bid``, ``ask``: best prices in ticks, 0: none. ``mid``: their middle, or the
last one. ``change``: of the mid over ten steps, relative. ``average``: of the last fifty mids. ``volatility``: mean
|change| of the mid per step of late, in ticks. ``signal``: what a lot is worth, in ticks, as the trader is told.
``shares``: its inventory. ``count`` own orders follow, oldest first: ``id``, ``side``, ``price``, ``size``. ``flow``:
see ``Flow``."""

TRADER: Final = np.dtype(
    [
        ("style", "i8"),
        ("activity", "f8"),
        ("feedback", "f8"),
        ("cancel", "f8"),
        ("take", "f8"),
        ("away", "f8"),
        ("least", "i8"),
        ("most", "i8"),
        ("threshold", "f8"),
        ("half_spread", "f8"),
        ("skew", "f8"),
        ("holding", "i8"),
        ("noise", "f8"),
        ("period", "i8"),
        ("spoof", "i8"),
    ]
)
"""Settings, as ``env_server/environments/market/config.py`` describes them."""
