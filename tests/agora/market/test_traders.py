"""What scripted traders send, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from agora.market.layout import SIGHT, TRADER, Style
from agora.market.messages import MESSAGE, Kind
from agora.market.sending import BUY, MOST_MESSAGES, SELL
from agora.market.traders import decide, wakes

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


def orders_of(sight: Any, trader: Any, keys: int = COUNT) -> list[tuple[int, ...]]:
    return [order for key in range(keys) for order in sent(sight, trader, key)]


@pytest.mark.parametrize(
    ("style", "change", "average", "shares", "wanted"),
    [
        (Style.TREND, 0.03, 9_000.0, 0, [(Kind.IOC, BUY, 10_002, 5)]),
        (Style.TREND, -0.03, 11_000.0, 0, [(Kind.IOC, SELL, 9_998, 5)]),
        (Style.TREND, 0.02, 11_000.0, 0, []),
        (Style.TREND, -0.02, 11_000.0, 0, []),
        (Style.TREND, 0.03, 9_000.0, 9, [(Kind.IOC, BUY, 10_002, 5)]),
        (Style.TREND, 0.03, 9_000.0, 10, []),
        (Style.TREND, -0.03, 9_000.0, -9, [(Kind.IOC, SELL, 9_998, 5)]),
        (Style.TREND, -0.03, 9_000.0, -10, []),
        (Style.REVERSION, -0.03, 10_300.0, 0, [(Kind.IOC, BUY, 10_002, 5)]),
        (Style.REVERSION, 0.03, 9_700.0, 0, [(Kind.IOC, SELL, 9_998, 5)]),
        (Style.REVERSION, 0.03, 10_100.0, 0, []),
    ],
)
def test_who_follows_takes_what_is_wanted_by_more_than_the_threshold(
    style: Style, change: float, average: float, shares: int, wanted: list[Any]
) -> None:
    trader = record(TRADER, style=style, threshold=0.02, least=5, most=5, holding=10)
    sight = record(SIGHT, bid=9_998, ask=10_002, mid=10_000.0, change=change, average=average, shares=shares)
    assert sent(sight, trader) == wanted


@pytest.mark.parametrize(
    ("changes", "bid", "ask"),
    [
        ({}, 9_998, 10_002),
        ({"mid": 10_000.5}, 9_998, 10_003),
        ({"shares": 10}, 9_993, 9_997),  # leans by half a tick a lot
        ({"shares": -10}, 10_003, 10_007),
        ({"volatility": 2.0}, 9_995, 10_005),  # wider by three ticks
        ({"bid": 0, "ask": 0}, 9_998, 10_002),
        ({"ask": 9_998}, 9_997, 10_002),
        ({"bid": 10_003}, 9_998, 10_004),
        ({"ask": 9_999}, 9_998, 10_002),
        ({"bid": 10_001}, 9_998, 10_002),
        ({"shares": 100}, None, 9_952),
        ({"shares": -100}, 10_048, None),
    ],
)
def test_a_maker_quotes_around_the_middle_and_never_trades(
    changes: dict[str, float], bid: int | None, ask: int | None
) -> None:
    trader = record(TRADER, style=Style.MAKER, half_spread=2.0, skew=0.5, feedback=1.5, least=5, most=5, holding=100)
    seen: dict[str, float] = {"bid": 9_900, "ask": 10_100, "mid": 10_000.0} | changes
    wanted = [(Kind.LIMIT, side, price, 5) for side, price in ((BUY, bid), (SELL, ask)) if price is not None]
    assert sent(record(SIGHT, **seen), trader) == wanted


def test_a_maker_s_quotes_are_a_tick_apart_at_least() -> None:
    trader = record(TRADER, style=Style.MAKER, least=1, most=1, holding=100)
    orders = sent(record(SIGHT, mid=10_000.0), trader)
    assert [price for _, _, price, _ in orders] == [10_000, 10_001]


def test_noise_stops_where_its_holding_ends_and_cancels_its_oldest() -> None:
    trader = record(TRADER, style=Style.NOISE, activity=1.0, take=1.0, least=3, most=3, holding=20)
    for shares, sides in ((20, {SELL}), (19, {BUY, SELL}), (-19, {BUY, SELL}), (-20, {BUY})):
        sight = record(SIGHT, bid=9_998, ask=10_002, mid=10_000.0, shares=shares)
        assert {side for _, side, _, _ in orders_of(sight, trader, 100)} == sides
    quiet, messages = record(TRADER, style=Style.NOISE, cancel=1.0), np.zeros(MOST_MESSAGES, MESSAGE)
    sight = record(SIGHT, bid=9_998, ask=10_002, mid=10_000.0, count=2, id=[7, 8, 0, 0])
    assert decide(sight, quiet, np.uint64(0), messages) == 1
    assert (messages[0]["kind"], messages[0]["id"]) == (Kind.CANCEL, 7)
    assert sent(record(SIGHT, bid=9_998, ask=10_002, mid=10_000.0), quiet) == []


@pytest.mark.parametrize("kind", [Kind.IOC, Kind.LIMIT])
def test_sizes_are_drawn_from_the_least_to_the_most_whatever_is_sent(kind: Kind) -> None:
    trader = record(TRADER, style=Style.NOISE, activity=1.0, take=0.5, away=4.0, least=3, most=6, holding=20)
    orders = orders_of(record(SIGHT, bid=9_998, ask=10_002, mid=10_000.0), trader)
    counts = np.bincount([size for what, _, _, size in orders if what == kind])
    assert not counts[:3].any() and len(counts) == 7
    assert counts[3:] == pytest.approx(COUNT / 8, abs=5.0 * math.sqrt(7 / 64 * COUNT))


@pytest.mark.parametrize(
    ("style", "share"),
    [
        (Style.NOISE, 0.44),  # cancels with 0.2, acts with 0.3
        (Style.TREND, 0.3),
        (Style.MAKER, 0.3),
        (Style.FUNDAMENTAL, 0.6),  # twice as often, as prices move
    ],
)
def test_traders_wake_as_often_as_they_say(style: Style, share: float) -> None:
    trader = record(TRADER, style=style, activity=0.3, cancel=0.2, feedback=0.5)
    sight = record(SIGHT, volatility=2.0)
    woken = sum(bool(wakes(sight, trader, np.uint64(key))) for key in mixed_keys())
    assert woken == pytest.approx(share * COUNT, abs=5.0 * math.sqrt(share * (1.0 - share) * COUNT))


def mixed_keys() -> list[int]:
    return np.random.default_rng(0).integers(2**63, size=COUNT).tolist()


@pytest.mark.parametrize(
    ("style", "kind", "away"), [(Style.ZERO_INTELLIGENCE, Kind.LIMIT, 1), (Style.POISSON, Kind.IOC, -1)]
)
def test_random_prices_are_exponentially_far(style: Style, kind: Kind, away: int) -> None:
    trader = record(TRADER, style=style, away=4.0, least=2, most=2, holding=10)
    orders = orders_of(record(SIGHT, bid=9_990, ask=10_010, mid=10_000.5, signal=10_000.5), trader)
    assert {(order[0], order[3]) for order in orders} == {(kind, 2)} and len(orders) == COUNT
    # Bids from 10,000 on, asks from 10,001 on: k ticks farther where the draw is beyond k - 1/2.
    mean, bids = math.exp(-0.5 / 4.0) / (1.0 - math.exp(-1.0 / 4.0)), 0
    for side, nearest, sign in ((BUY, 10_000, -away), (SELL, 10_001, away)):
        far = np.array([(price - nearest) * sign for _, at, price, _ in orders if at == side])
        assert far.min() == 0 and far.mean() == pytest.approx(mean, abs=5.0 * 4.0 / math.sqrt(COUNT / 2))
        bids += len(far) * (side == BUY)
    assert bids == pytest.approx(COUNT / 2, abs=5.0 * math.sqrt(COUNT / 4))


@pytest.mark.parametrize("style", [Style.ZERO_INTELLIGENCE, Style.BOOK_READER])
def test_who_prices_by_worth_sends_anew_and_only_what_it_may_hold(style: Style) -> None:
    trader = record(TRADER, style=style, away=4.0, least=2, most=2, holding=10)
    flow = np.full((4, 128), 1.0)
    for shares, sides in ((10, {SELL}), (-10, {BUY}), (9, {BUY, SELL})):
        sight = record(SIGHT, mid=10_000.0, signal=10_000.0, shares=shares, count=1, flow=flow)
        messages = [sent(sight, trader, key) for key in range(50)]
        assert all(each[0][0] == Kind.CANCEL and len(each) <= 2 for each in messages)
        assert {each[1][1] for each in messages if len(each) == 2} == sides


def test_a_book_reader_sends_nothing_where_nothing_is_gained() -> None:
    trader = record(TRADER, style=Style.BOOK_READER, least=5, most=5, holding=10)
    flow = np.zeros((4, 128))
    flow[:, [9_996 % 128, 10_000 % 128]] = 2.0
    for signal, wanted in ((10_010.0, (Kind.LIMIT, BUY, 9_996, 5)), (9_990.0, (Kind.LIMIT, SELL, 10_000, 5))):
        sight = record(SIGHT, mid=9_998.0, signal=signal, flow=flow)
        assert {tuple(sent(sight, trader, key)) for key in range(50)} == {(), (wanted,)}
