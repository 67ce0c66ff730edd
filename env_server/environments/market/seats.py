"""What agents may do, and how their choices become messages."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agora.market.draws import compiled
from agora.market.messages import Kind
from agora.market.traders import add, drop_all, quote
from env_server.environments.market.book.records import Phase

OFFSETS: Final = np.array([0, 1, 2, 3, 5, 8, 12])
"""Maker: distances of a quote from the middle, in ticks, beyond the nearest; one more choice: no quote."""
SIZES: Final = np.array([1, 2, 5, 10])
"""Lots."""
STEPS: Final = np.array([-2, -1, 0, 1, 2, 4, 8])
"""Trader: ticks behind the best price of its side; below 0: before it."""
HOLD, LIMIT, POST, IOC, MARKET, CANCEL = range(6)
"""Trader: what to do. CANCEL cancels all its orders."""
ACTS: Final = 6
MAKER_CHOICES: Final = (len(OFFSETS) + 1, len(OFFSETS) + 1, len(SIZES))
"""Bid, ask, size."""
TRADER_CHOICES: Final = (ACTS, 2, len(STEPS), len(SIZES))
"""Act, side, step, size."""

_KINDS: Final = np.array([0, Kind.LIMIT, Kind.POST, Kind.IOC, Kind.MARKET, 0], np.int64)
_NO_QUOTE: Final = len(OFFSETS)


@compiled
def make_quotes(sight: Any, trader: Any, action: Any, messages: Any) -> int:
    """A maker's choices as messages: orders that are where they should be stay, all others on the side go."""
    count, size = 0, SIZES[action[2]]
    bid = -1 if action[0] == _NO_QUOTE else math.ceil(sight.mid) - 1 - OFFSETS[action[0]]
    ask = -1 if action[1] == _NO_QUOTE else math.floor(sight.mid) + 1 + OFFSETS[action[1]]
    count = quote(sight, trader, 0, bid, size, messages, count)
    return quote(sight, trader, 1, ask, size, messages, count)


@compiled
def send_order(sight: Any, action: Any, messages: Any) -> int:
    """A trader's choices as messages."""
    act, side, size = action[0], action[1], SIZES[action[3]]
    if act == HOLD:
        return 0
    if act == CANCEL:
        return drop_all(sight, messages, 0)
    front = sight.bid if side == 0 else sight.ask
    if front == 0:
        front = math.ceil(sight.mid) - 1 if side == 0 else math.floor(sight.mid) + 1
    price = front - STEPS[action[2]] if side == 0 else front + STEPS[action[2]]
    return add(messages, 0, _KINDS[act], side, price, size, 0)


def legal(markets: NDArray[Any], seat: int, maker: bool) -> NDArray[np.uint8]:
    """Which choices of a seat the market would not reject as they are, uint8 (B, sum of its choices)."""
    book = markets["book"]
    account = book["accounts"][:, seat]
    room = account["shares"][:, None] * np.array([1, -1]) + account["open"] < account["limit"][:, None]
    if maker:
        mask = np.ones((len(markets), sum(MAKER_CHOICES)), np.uint8)
        for side in range(2):
            held = account["shares"] * (1 - 2 * side) < account["limit"]
            mask[:, side * MAKER_CHOICES[0] :][:, :_NO_QUOTE] = held[:, None]
        return mask
    mask = np.ones((len(markets), sum(TRADER_CHOICES)), np.uint8)
    gathering = book["phase"] != Phase.CONTINUOUS
    mask[:, [POST, IOC, MARKET]] = ~gathering[:, None]
    mask[:, [LIMIT, POST, IOC, MARKET]] &= room.any(axis=1)[:, None]
    mask[:, CANCEL] = account["open"].any(axis=1)
    mask[:, ACTS : ACTS + 2] = room | ~room.any(axis=1)[:, None]
    return mask
