"""What a trader believes about prices from the orders of late: how likely one is to trade.

Gjerstad and Dickhaut (1998), "Price formation in double auctions", with lots for orders, as Wang, Hoang, Vorobeychik
and Wellman (2021), "Spoofing the limit order book", count them, and flow that fades with age for their memory of the
last trades. A bid at p is believed to trade with probability F / (F + R): F the bids that traded at p or below and the
asks that came at p or below, R the bids that went without a trade at p or above. Asks are the mirror image.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agora.market.draws import compiled, normal
from agora.market.layout import WINDOW, Flow

BIDS, ASKS, BOUGHT, SOLD = int(Flow.BIDS), int(Flow.ASKS), int(Flow.BOUGHT), int(Flow.SOLD)
REACH = WINDOW // 2 - 1
"""Ticks around the middle at which flow is believed to be of late."""


@compiled
def value(sight: Any, trader: Any, key: np.uint64, number: int) -> float:
    """What the trader believes a lot is worth, in ticks."""
    return sight.signal + trader.noise * normal(key, number)


@compiled
def belief(favour: float, against: float) -> float:
    """Share of the evidence that is in favour; nobody knows: nothing will trade."""
    return favour / (favour + against) if favour > 0.0 else 0.0


@compiled
def best_price(sight: Any, side: int, worth: float) -> int:
    """The price at which surplus times belief is the largest; 0: none has any.

    Args:
        sight: SIGHT record.
        side: 0 buys, 1 sells.
        worth: of a lot to the trader, in ticks.
    """
    # Seen from the worst price for the others to the best, both sides are the same search.
    own, others, traded = (BIDS, ASKS, BOUGHT) if side == 0 else (ASKS, BIDS, SOLD)
    step = 1 if side == 0 else -1
    middle = math.floor(sight.mid)
    price = middle - step * REACH
    against = 0.0
    for _ in range(2 * REACH + 1):
        at = price & (WINDOW - 1)
        against += sight.flow[own, at] - sight.flow[traded, at]
        price += step
    price = middle - step * REACH
    favour, chosen, most = 0.0, 0, 0.0
    for _ in range(2 * REACH + 1):
        surplus = (worth - price) * step
        if surplus <= 0.0:
            break
        at = price & (WINDOW - 1)
        favour += sight.flow[traded, at] + sight.flow[others, at]
        gain = surplus * belief(favour, max(against, 0.0))
        if gain > most:
            chosen, most = price, gain
        against -= sight.flow[own, at] - sight.flow[traded, at]
        price += step
    return chosen
