"""How scripted traders behave: what one sees to what it sends, compiled.

The same functions move the traders inside an environment and the agent services that run them. Noise, trend, reversion
and maker are those of the market brief; zero intelligence is Gode and Sunder's (1993) with a signal for a value, and
the book reader prices by belief (Gjerstad and Dickhaut 1998), see ``beliefs``. Those who manipulate are in
``adversaries``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agora.market.adversaries import manipulate
from agora.market.beliefs import best_price, value
from agora.market.draws import compiled, exponential, uniform
from agora.market.layout import Style
from agora.market.messages import Kind
from agora.market.sending import BUY, LIMIT, SELL, add, drop, drop_all, lots, passive_price, quote, side_of

MARKET, STOP = int(Kind.MARKET), int(Kind.STOP)
NOISE, TREND, REVERSION = int(Style.NOISE), int(Style.TREND), int(Style.REVERSION)
MAKER, FUNDAMENTAL = int(Style.MAKER), int(Style.FUNDAMENTAL)
ZERO_INTELLIGENCE, BOOK_READER = int(Style.ZERO_INTELLIGENCE), int(Style.BOOK_READER)
SPOOFER, STOP_HUNTING, PROTECTED = int(Style.SPOOFER), int(Style.STOP_HUNTING), int(Style.PROTECTED)


@compiled
def liveliness(sight: Any, trader: Any) -> float:
    """The probability of acting, which grows with what the price did of late."""
    return min(1.0, trader.activity * (1.0 + trader.feedback * sight.volatility))


@compiled
def wakes(sight: Any, trader: Any, key: np.uint64) -> bool:
    """Whether a trader does anything in this step; only prices of the past are looked at, not the book."""
    if trader.style == NOISE:
        return True
    return uniform(key, 0) < (liveliness(sight, trader) if trader.style == FUNDAMENTAL else trader.activity)


@compiled
def noise(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Buy or sell at random, at once or at a price of its own, and cancel what was not traded in time."""
    count = 0
    if sight.count and uniform(key, 0) < trader.cancel:
        count = drop(sight, messages, count, 0)
    draw, acts = uniform(key, 1), liveliness(sight, trader)
    if draw >= acts:
        return count
    side = BUY if draw < 0.5 * acts else SELL
    if side_of(0.5 - side, trader, sight.shares) != side:
        return count
    size = lots(trader, uniform(key, 2))
    if uniform(key, 3) < trader.take:
        return add(messages, count, MARKET, side, 0, size, 0)
    price = passive_price(sight, side, exponential(key, 4, trader.away))
    return add(messages, count, LIMIT, side, price, size, 0)


@compiled
def follow(wanted: float, sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Take what there is in a direction, if it is wanted by more than the threshold."""
    if abs(wanted) <= trader.threshold:
        return 0
    side = side_of(wanted, trader, sight.shares)
    if side < 0:
        return 0
    return add(messages, 0, MARKET, side, 0, lots(trader, uniform(key, 1)), 0)


@compiled
def quotes(sight: Any, trader: Any) -> tuple[int, int]:
    """The bid and the ask of a maker: around the middle, leaning against the inventory, wider when prices move."""
    middle = sight.mid - trader.skew * sight.shares
    half = trader.half_spread + trader.feedback * sight.volatility
    bid, ask = math.floor(middle - half), math.ceil(middle + half)
    if sight.ask:
        bid = min(bid, sight.ask - 1)
    return bid, max(ask, sight.bid + 1, bid + 1)


@compiled
def make(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Quote both sides."""
    bid, ask = quotes(sight, trader)
    size = lots(trader, uniform(key, 1))
    count = quote(sight, trader, BUY, bid, size, messages, 0)
    return quote(sight, trader, SELL, ask, size, messages, count)


@compiled
def arbitrage(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Take what is priced below its worth, sell what is priced above."""
    worth, wanted = value(sight, trader, key, 1), 0.0
    if sight.ask and worth - sight.ask > trader.threshold:
        wanted = 1.0
    elif sight.bid and sight.bid - worth > trader.threshold:
        wanted = -1.0
    side = side_of(wanted, trader, sight.shares)
    return add(messages, 0, MARKET, side, 0, lots(trader, uniform(key, 3)), 0) if side >= 0 else 0


@compiled
def ask_surplus(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Ask for a random surplus over the worth, on a random side."""
    count = drop_all(sight, messages, 0)
    side = BUY if uniform(key, 1) < 0.5 else SELL
    if side_of(0.5 - side, trader, sight.shares) != side:
        return count
    worth, surplus = value(sight, trader, key, 2), exponential(key, 4, trader.away)
    price = math.floor(worth - surplus) if side == BUY else math.ceil(worth + surplus)
    return add(messages, count, LIMIT, side, price, lots(trader, uniform(key, 5)), 0)


@compiled
def read_book(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Send the order whose surplus, times the belief that it trades, is the largest; on a random side."""
    count = drop_all(sight, messages, 0)
    side = BUY if uniform(key, 1) < 0.5 else SELL
    if side_of(0.5 - side, trader, sight.shares) != side:
        return count
    price = best_price(sight, side, value(sight, trader, key, 2))
    return add(messages, count, LIMIT, side, price, lots(trader, uniform(key, 5)), 0) if price > 0 else count


@compiled
def protect(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Take a side at random, keep a stop against losses behind it, and leave after a while."""
    if sight.shares == 0:
        count, side = drop_all(sight, messages, 0), BUY if uniform(key, 1) < 0.5 else SELL
        return add(messages, count, MARKET, side, 0, lots(trader, uniform(key, 2)), 0)
    side, size = SELL if sight.shares > 0 else BUY, abs(sight.shares)
    if uniform(key, 3) < trader.cancel:
        return add(messages, drop_all(sight, messages, 0), MARKET, side, 0, size, 0)
    if sight.count:
        return 0
    price = math.floor(sight.mid - trader.away) if side == SELL else math.ceil(sight.mid + trader.away)
    return add(messages, 0, STOP, side, price, size, 0)


@compiled
def decide(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """What a trader sends when it has woken.

    Args:
        sight: SIGHT record, what it sees.
        trader: TRADER record, what it is.
        key: of its random numbers in this step.
        messages: MESSAGE (MOST_MESSAGES,), written; the agent's number is left to the caller.

    Returns:
        How many messages there are.
    """
    style = trader.style
    if style == NOISE:
        return noise(sight, trader, key, messages)
    if style == TREND:
        return follow(sight.change, sight, trader, key, messages)
    if style == REVERSION:
        return follow(sight.average / sight.mid - 1.0, sight, trader, key, messages)
    if style == MAKER:
        return make(sight, trader, key, messages)
    if style == FUNDAMENTAL:
        return arbitrage(sight, trader, key, messages)
    if style == ZERO_INTELLIGENCE:
        return ask_surplus(sight, trader, key, messages)
    if style == BOOK_READER:
        return read_book(sight, trader, key, messages)
    if style == PROTECTED:
        return protect(sight, trader, key, messages)
    if SPOOFER <= style <= STOP_HUNTING:
        return manipulate(sight, trader, key, messages)
    return 0
