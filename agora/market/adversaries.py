"""Traders that manipulate prices, compiled: each goes through cycles, of which the first half sets the trap.

The spoofer is Wang and Wellman's (2017), "Spoofing the limit order book: an agent-based model", with the inventory that
Wang, Hoang, Vorobeychik and Wellman (2021), "Spoofing the limit order book: a strategic agent-based analysis", let it
sell at the raised price. The others follow what regulators describe: layering, quote stuffing and momentum ignition as
in ESMA (2012), "Guidelines on systems and controls in an automated trading environment", and stop hunting, which lives
on the cascades of Osler (2005), "Stop-loss orders and price cascades in currency markets".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from agora.market.beliefs import value
from agora.market.draws import compiled, uniform
from agora.market.layout import OWN_ORDERS, Style
from agora.market.messages import Kind
from agora.market.sending import BUY, LIMIT, MOST_MESSAGES, SELL, add, drop, drop_all, lots, passive_price, quote

MARKET = int(Kind.MARKET)
SPOOFER, LAYERING, QUOTE_STUFFING = int(Style.SPOOFER), int(Style.LAYERING), int(Style.QUOTE_STUFFING)
MOMENTUM_IGNITION = int(Style.MOMENTUM_IGNITION)


@compiled
def early(sight: Any, trader: Any) -> bool:
    """Whether the trader's cycle is in its first half."""
    return 2 * (sight.step % trader.period) < trader.period


@compiled
def take(side: int, size: int, messages: Any, count: int) -> int:
    """Trade so many lots at the market, if there are any to trade."""
    return add(messages, count, MARKET, side, 0, size, 0) if size > 0 else count


@compiled
def exposed(sight: Any) -> bool:
    """Whether an own bid is at the front."""
    found = False
    for place in range(sight.count):
        found |= sight.side[place] == BUY and sight.price[place] == sight.bid
    return found


@compiled
def layers(sight: Any, number: int, size: int, messages: Any) -> int:
    """Keep bids at so many prices, the first one tick behind the best bid; all other orders are cancelled.

    What there is no room for waits for the next step, as does everything when an own bid is at the front: whose is the
    next one is not seen before it is gone.
    """
    if exposed(sight):
        return drop_all(sight, messages, 0)
    front, there, count = sight.bid - 1, 0, 0
    for place in range(sight.count):
        level = front - sight.price[place]
        if sight.side[place] == BUY and 0 <= level < number and not there >> level & 1:
            there |= 1 << level
        else:
            count = drop(sight, messages, count, place)
    for level in range(number):
        if size > 0 and front - level >= 1 and not there >> level & 1 and count < MOST_MESSAGES:
            count = add(messages, count, LIMIT, BUY, front - level, size, 0)
    return count


@compiled
def spoof(sight: Any, trader: Any, key: np.uint64, messages: Any, number: int) -> int:
    """Collect lots for less than they are worth; then sell them for more, while large bids make others bid more."""
    size = lots(trader, uniform(key, 2)) if uniform(key, 1) < trader.take else 0
    worth, bids = value(sight, trader, key, 3), 0
    if early(sight, trader):
        side, size = BUY, min(size, trader.holding - sight.shares) if 0 < sight.ask < worth - trader.threshold else 0
    else:
        side, size = SELL, min(size, sight.shares) if sight.bid > worth + trader.threshold else 0
        bids = number if sight.shares > 0 else 0
    if size > 0:
        # What it takes may be all that its own bids hide behind: they wait for a step.
        return add(messages, drop_all(sight, messages, 0), MARKET, side, 0, size, 0)
    return layers(sight, bids, trader.spoof // number, messages)


@compiled
def stuff(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Cancel what was sent in the step before, and send orders behind the best prices while there is room."""
    count = drop_all(sight, messages, 0)
    for number in range(MOST_MESSAGES - count):
        side = number & 1
        price = passive_price(sight, side, trader.away + number // 2)
        count = add(messages, count, LIMIT, side, price, lots(trader, uniform(key, 1 + number)), 0)
    return count


@compiled
def ignite(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Buy at the market until the holding is full, so that others follow; then offer it to them at the best ask."""
    size = lots(trader, uniform(key, 1))
    if early(sight, trader):
        count = drop_all(sight, messages, 0)
        return take(BUY, min(size, trader.holding - sight.shares), messages, count)
    if sight.shares <= 0:
        return drop_all(sight, messages, 0)
    return quote(sight, trader, SELL, passive_price(sight, SELL, 1.0), min(size, sight.shares), messages, 0)


@compiled
def hunt(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Sell until the price is as far below its average as stops lie; then buy back from them at the best bid."""
    size = lots(trader, uniform(key, 1))
    if early(sight, trader) and sight.mid > sight.average - trader.away:
        count = drop_all(sight, messages, 0)
        return take(SELL, min(size, trader.holding + sight.shares), messages, count)
    if sight.shares >= 0:
        return drop_all(sight, messages, 0)
    return quote(sight, trader, BUY, passive_price(sight, BUY, 1.0), min(size, -sight.shares), messages, 0)


# Not inlined: most markets have no adversary, and `decide` is compiled into every loop over traders.
@njit(error_model="numpy", nogil=True)
def manipulate(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """What an adversary sends; see ``traders.decide``."""
    style = trader.style
    if style == SPOOFER:
        return spoof(sight, trader, key, messages, 1)
    if style == LAYERING:
        return spoof(sight, trader, key, messages, OWN_ORDERS)
    if style == QUOTE_STUFFING:
        return stuff(sight, trader, key, messages)
    if style == MOMENTUM_IGNITION:
        return ignite(sight, trader, key, messages)
    return hunt(sight, trader, key, messages)
