"""How scripted traders behave: what one sees to what it sends, compiled.

The same functions move the traders inside an environment and the agent services that run them. Noise, trend, reversion
and maker are those of the market brief; zero intelligence is Gode and Sunder's (1993) with a signal for a value, the
book reader prices by belief (Gjerstad and Dickhaut 1998), see ``beliefs``, and Poisson takers are what a maker meets in
Avellaneda and Stoikov's model (2008, "High-frequency trading in a limit order book"). Those who manipulate are in
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
from agora.market.sending import BUY, LIMIT, SELL, add, drop, drop_all, lots, passive_price, quote, side_of, take

IOC, MARKET, STOP = int(Kind.IOC), int(Kind.MARKET), int(Kind.STOP)
NOISE, TREND, REVERSION = int(Style.NOISE), int(Style.TREND), int(Style.REVERSION)
MAKER, FUNDAMENTAL = int(Style.MAKER), int(Style.FUNDAMENTAL)
ZERO_INTELLIGENCE, BOOK_READER, POISSON = int(Style.ZERO_INTELLIGENCE), int(Style.BOOK_READER), int(Style.POISSON)
SPOOFER, STOP_HUNTING, PROTECTED = int(Style.SPOOFER), int(Style.STOP_HUNTING), int(Style.PROTECTED)


@compiled
def unrest(sight: Any, trader: Any) -> float:
    """By how many times what the price did of late moves a trader; 1 at rest."""
    return 1.0 + float(trader.feedback * sight.volatility)


@compiled
def wakes(sight: Any, trader: Any, key: np.uint64) -> bool:
    """Whether a trader may do anything in this step; only prices of the past are looked at, not the book."""
    if trader.style == NOISE:
        return (uniform(key, 0) < trader.cancel) | (uniform(key, 1) < trader.activity)
    return uniform(key, 0) < trader.activity * (unrest(sight, trader) if trader.style == FUNDAMENTAL else 1.0)


@compiled
def noise(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Buy or sell at random, at once or at a price of its own, and cancel what was not traded in time.

    Prices are farther behind the best one when it moves: limit orders do so in markets, which may be one reason why
    volatility clusters (Zovko and Farmer 2002, "The power of patience").
    """
    count = 0
    if sight.count and uniform(key, 0) < trader.cancel:
        count = drop(sight, messages, count, 0)
    draw = uniform(key, 1)
    if draw >= trader.activity:
        return count
    side = int(draw >= 0.5 * trader.activity)
    if sight.shares * (1 - 2 * side) >= trader.holding:
        return count
    size = lots(trader, uniform(key, 2))
    if uniform(key, 3) < trader.take:
        return take(sight, side, size, messages, count)
    price = passive_price(sight, side, exponential(key, 4, trader.away * unrest(sight, trader)))
    return add(messages, count, LIMIT, side, price, size, 0)


@compiled
def follow(wanted: float, sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Take what there is in a direction, if it is wanted by more than the threshold."""
    if abs(wanted) <= trader.threshold:
        return 0
    side = side_of(wanted, trader, sight.shares)
    if side < 0:
        return 0
    return take(sight, side, lots(trader, uniform(key, 1)), messages, 0)


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
    """Take what is priced below its worth, sell what is priced above, and leave what gains less than the threshold."""
    worth, wanted = value(sight, trader, key, 1), 0.0
    if sight.ask and sight.ask <= worth - trader.threshold:
        wanted = 1.0
    elif sight.bid and sight.bid >= worth + trader.threshold:
        wanted = -1.0
    side = side_of(wanted, trader, sight.shares)
    return take(sight, side, lots(trader, uniform(key, 3)), messages, 0) if side >= 0 else 0


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
def take_near(sight: Any, trader: Any, key: np.uint64, messages: Any) -> int:
    """Take on a random side what lies within an exponential distance from the middle.

    So a quote at distance δ trades with intensity λ(δ) = A e^{-kδ}, k = 1 / ``away`` (Avellaneda and Stoikov 2008,
    equation 2.11).
    """
    side = BUY if uniform(key, 1) < 0.5 else SELL
    reach = exponential(key, 4, trader.away)
    price = math.floor(sight.mid + reach) if side == BUY else math.ceil(sight.mid - reach)
    return add(messages, 0, IOC, side, price, lots(trader, uniform(key, 5)), 0)


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
    if style in (TREND, REVERSION):
        wanted = sight.change if style == TREND else sight.average / sight.mid - 1.0
        return follow(wanted, sight, trader, key, messages)
    if style == MAKER:
        return make(sight, trader, key, messages)
    if style == FUNDAMENTAL:
        return arbitrage(sight, trader, key, messages)
    if style == ZERO_INTELLIGENCE:
        return ask_surplus(sight, trader, key, messages)
    if style == BOOK_READER:
        return read_book(sight, trader, key, messages)
    if style == POISSON:
        return take_near(sight, trader, key, messages)
    if style == PROTECTED:
        return protect(sight, trader, key, messages)
    if SPOOFER <= style <= STOP_HUNTING:
        return manipulate(sight, trader, key, messages)
    return 0
