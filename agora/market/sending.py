"""Messages that traders write, and the orders that they keep, compiled."""

from __future__ import annotations

import math
from typing import Any, Final

from agora.market.draws import compiled
from agora.market.messages import Kind

MOST_MESSAGES: Final = 6
"""That a trader sends in one step."""
BUY, SELL = 0, 1
LIMIT, IOC, CANCEL = int(Kind.LIMIT), int(Kind.IOC), int(Kind.CANCEL)


@compiled
def add(messages: Any, count: int, kind: int, side: int, price: int, size: int, order: int) -> int:
    """Write a message behind the others; returns how many there are."""
    message = messages[count]
    message.kind, message.side, message.price, message.size, message.id = kind, side, price, size, order
    return count + 1


@compiled
def take(sight: Any, side: int, size: int, messages: Any, count: int) -> int:
    """Trade at the best price of the other side, up to a size; what is not there is left.

    Market orders seldom ask for more than the best price has. So a large one meets a deep book, and impact is concave
    (Farmer et al. 2004, "What really causes large price changes?").
    """
    price = sight.bid if side else sight.ask
    return add(messages, count, IOC, side, price, size, 0) if price else count


@compiled
def drop(sight: Any, messages: Any, count: int, place: int) -> int:
    """Cancel an own order."""
    return add(messages, count, CANCEL, 0, 0, 0, sight.id[place])


@compiled
def drop_all(sight: Any, messages: Any, count: int) -> int:
    """Cancel all own orders."""
    for place in range(sight.count):
        count = drop(sight, messages, count, place)
    return count


@compiled
def lots(trader: Any, draw: float) -> int:
    """A size between the trader's least and most."""
    return trader.least + int(draw * (trader.most - trader.least + 1))


@compiled
def side_of(wanted: float, trader: Any, shares: int) -> int:
    """The side of a wish to buy (> 0) or sell (< 0); -1: none, or the trader holds or owes too much already."""
    if wanted > 0.0 and shares < trader.holding:
        return BUY
    if wanted < 0.0 and -shares < trader.holding:
        return SELL
    return -1


@compiled
def passive_price(sight: Any, side: int, away: float) -> int:
    """A price so many ticks behind the best one of a side, and at most one before it; never one that trades."""
    best, other, sign = (sight.ask, sight.bid, -1) if side else (sight.bid, sight.ask, 1)
    if best == 0:
        best = math.floor(sight.mid) + 1 if side else math.ceil(sight.mid) - 1
    price = best + sign * (1 - int(away))
    if other == 0 and side == BUY:
        return price
    return price if (other - price) * sign > 0 else other - sign


@compiled
def clear(sight: Any, side: int, price: int, messages: Any, count: int) -> tuple[int, bool]:
    """Cancel the own orders of a side but the first at a price; returns how many messages, and whether it rests."""
    there = False
    for place in range(sight.count):
        if sight.side[place] == side:
            if sight.price[place] == price and not there:
                there = True
            else:
                count = drop(sight, messages, count, place)
    return count, there


@compiled
def quote(sight: Any, trader: Any, side: int, price: int, size: int, messages: Any, count: int) -> int:
    """Keep one order at a price: cancel others on the side, and send it unless it is there; at no price (< 1): none."""
    count, there = clear(sight, side, price, messages, count)
    if there or price < 1 or side_of(0.5 - side, trader, sight.shares) != side:
        return count
    return add(messages, count, LIMIT, side, price, size, 0)
