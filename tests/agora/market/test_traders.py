"""What scripted traders send, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agora.market.layout import SIGHT, TRADER, Style
from agora.market.messages import MESSAGE, Kind
from agora.market.sending import BUY, MOST_MESSAGES, SELL
from agora.market.traders import decide

COUNT = 20_000


def record(dtype: np.dtype[Any], **given: Any) -> Any:
    values = np.zeros(1, dtype)
    for name, value in given.items():
        values[name] = value
    return values[0]


def sent(sight: Any, trader: Any, key: int = 0) -> list[tuple[int, ...]]:
    """Kind, side, price and size of each message."""
    messages = np.zeros(MOST_MESSAGES, MESSAGE)
    count = decide(sight, trader, np.uint64(key), messages)
    return [tuple(int(message[name]) for name in ("kind", "side", "price", "size")) for message in messages[:count]]


@pytest.mark.parametrize(
    ("bid", "ask", "wanted"),
    [
        (9_980, 9_990, [(Kind.IOC, BUY, 9_990, 5)]),
        (9_980, 9_998, [(Kind.IOC, BUY, 9_998, 5)]),
        (9_980, 9_999, []),
        (10_002, 10_010, []),
        (10_003, 10_010, [(Kind.IOC, SELL, 10_003, 5)]),
        (10_007, 0, [(Kind.IOC, SELL, 10_007, 5)]),
        (0, 0, []),
    ],
)
def test_a_fundamental_trader_leaves_what_gains_less_than_two_ticks(bid: int, ask: int, wanted: list[Any]) -> None:
    trader = record(TRADER, style=Style.FUNDAMENTAL, threshold=2.0, least=5, most=5, holding=10)
    assert sent(record(SIGHT, bid=bid, ask=ask, mid=10_000.0, signal=10_000.4), trader) == wanted


@pytest.mark.parametrize(
    ("bid", "ask", "sides"), [(9_990, 10_010, {BUY, SELL}), (9_990, 0, {SELL}), (0, 10_010, {BUY}), (0, 0, set())]
)
def test_takers_ask_for_the_best_price_alone(bid: int, ask: int, sides: set[int]) -> None:
    trader = record(TRADER, style=Style.NOISE, activity=1.0, take=1.0, least=3, most=3, holding=200)
    sight = record(SIGHT, bid=bid, ask=ask, mid=10_000.0)
    best = {BUY: ask, SELL: bid}
    wanted = {(int(Kind.IOC), side, best[side], 3) for side in sides}
    assert {order for key in range(100) for order in sent(sight, trader, key)} == wanted


@pytest.mark.parametrize(("volatility", "mean"), [(0.0, 4.0), (2.0, 8.0)])
def test_noise_quotes_farther_away_when_prices_move_and_acts_as_often(volatility: float, mean: float) -> None:
    trader = record(TRADER, style=Style.NOISE, activity=0.6, feedback=0.5, away=4.0, least=1, most=9, holding=200)
    sight = record(SIGHT, bid=10_000, ask=20_000, mid=15_000.0, volatility=volatility)
    orders = [order for key in range(COUNT) for order in sent(sight, trader, key)]
    bids = [10_001 - price for _, side, price, _ in orders if side == BUY]
    # The mean of whole ticks in an exponential distance; five standard errors.
    assert np.mean(bids) == pytest.approx(1.0 / math.expm1(1.0 / mean), abs=5.0 * mean / math.sqrt(0.3 * COUNT))
    assert len(bids) == pytest.approx(0.3 * COUNT, abs=5.0 * math.sqrt(0.21 * COUNT))
    assert len(orders) == pytest.approx(0.6 * COUNT, abs=5.0 * math.sqrt(0.24 * COUNT))
