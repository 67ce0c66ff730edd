"""Auctions, halts, closes, and ladders that move."""

from __future__ import annotations

import numpy as np
import pytest

from agora.market.messages import Kind, Reason
from env_server.environments.market.book.records import Lane, Phase, SelfTrade
from tests.support.markets import BUY, SELL, Talk


def test_an_auction_ends_at_the_price_of_most_volume() -> None:
    book = Talk(maker_fee=5, taker_fee=7)
    book.books.turn(Phase.AUCTION)
    bids = [book.rest(0, BUY, 103, 10), book.rest(0, BUY, 101, 10)]
    asks = [book.rest(1, SELL, 99, 5), book.rest(2, SELL, 100, 8), book.rest(3, SELL, 102, 20)]
    assert book.best == (103, 99) and book.trades() == []

    book.books.turn(Phase.CONTINUOUS)

    # Demand 20, 20, 20, 10, 10 and supply 5, 13, 13, 33, 33 at 99 to 103: most trade, 13, at 100 and 101; both leave 7;
    # without a last trade the middle of 99 and 103 is nearest, so 101.
    assert book.trades() == [(101, 5, bids[0], asks[0]), (101, 5, bids[0], asks[1]), (101, 3, bids[1], asks[1])]
    assert book.account(0)["cash"] == -13 * 101 * 1000 and book.account(0)["fees"] == 0
    assert book.best == (101, 102)


def cleared(orders: list[tuple[int, int, int]], last: int | None) -> int:
    """The price of an auction by its definition, over (side, price, lots)."""
    bids, asks = ([(price, lots) for side, price, lots in orders if side == which] for which in (BUY, SELL))
    low, high = min(price for price, _ in asks), max(price for price, _ in bids)
    near = (low + high) // 2 if last is None else last

    def order(price: int) -> tuple[int, int, int, int]:
        demand = sum(lots for at, lots in bids if at >= price)
        supply = sum(lots for at, lots in asks if at <= price)
        return -min(demand, supply), abs(demand - supply), abs(price - near), price

    return min(range(low, high + 1), key=order)


@pytest.mark.parametrize("seed", range(60))
def test_an_auction_ends_where_its_definition_says(seed: int) -> None:
    generator = np.random.default_rng(seed)
    last = None if seed % 3 == 0 else int(generator.integers(90, 115))
    book = Talk(slots=64)
    if last is not None:
        book.rest(0, SELL, last, 1)
        book.say(Kind.MARKET, 1, BUY, size=1)
    book.books.turn(Phase.AUCTION)
    orders = [(BUY, 104, 3), (SELL, 100, 3)]  # crossed, with few sizes, so that there are ties
    orders += [
        (int(generator.integers(2)), int(generator.integers(98, 107)), 3) for _ in range(int(generator.integers(9)))
    ]
    for side, price, lots in orders:
        book.rest(side, side, price, lots)
    book.trades()

    book.books.turn(Phase.CONTINUOUS)

    assert {price for price, *_ in book.trades()} == {cleared(orders, last)}


@pytest.mark.parametrize(("last", "price"), [(None, 102), (90, 100), (103, 103), (120, 104)])
def test_among_equals_an_auction_ends_nearest_to_the_last_trade(last: int | None, price: int) -> None:
    book = Talk()
    if last is not None:
        book.rest(0, SELL, last, 1)
        book.say(Kind.MARKET, 1, BUY, size=1)
        book.trades()
    book.books.turn(Phase.AUCTION)
    book.rest(0, BUY, 104, 5)
    book.rest(1, SELL, 100, 5)
    book.books.turn(Phase.CONTINUOUS)
    assert [trade[0] for trade in book.trades()] == [price]


@pytest.mark.parametrize(("extra", "price"), [((BUY, 100), 101), ((SELL, 104), 103)])
def test_among_equals_an_auction_leaves_least(extra: tuple[int, int], price: int) -> None:
    book = Talk()
    book.rest(0, SELL, extra[1], 1)
    book.say(Kind.MARKET, 1, BUY, size=1)  # the last trade is at the price that leaves more
    book.trades()
    book.books.turn(Phase.AUCTION)
    book.rest(0, BUY, 104, 5)
    book.rest(1, SELL, 100, 5)
    book.rest(extra[0], extra[0], extra[1], 2)
    book.books.turn(Phase.CONTINUOUS)
    assert [trade[0] for trade in book.trades()] == [price]


def test_of_two_prices_in_the_middle_an_auction_takes_the_lower() -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    bid, ask = book.rest(0, BUY, 103, 5), book.rest(1, SELL, 100, 5)
    book.books.turn(Phase.CONTINUOUS)
    assert book.trades() == [(101, 5, bid, ask)]  # 101 and 102 are as near to 101.5


@pytest.mark.parametrize("phase", [Phase.HALTED, Phase.AUCTION])
def test_an_auction_that_is_halted_stays_crossed(phase: Phase) -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    bid, ask = book.rest(0, BUY, 100, 5), book.rest(1, SELL, 100, 5)

    book.books.turn(phase)

    assert book.trades() == [] and book.best == (100, 100)
    book.books.turn(Phase.CONTINUOUS)
    assert book.trades() == [(100, 5, bid, ask)]


def test_own_orders_shrink_instead_of_trading_in_an_auction() -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    book.rest(0, BUY, 100, 5)
    ask = book.rest(0, SELL, 100, 8)

    book.books.turn(Phase.CONTINUOUS)

    assert book.trades() == [] and book.queue(Lane.ASK, 100) == [(ask, 3)]


def test_own_orders_trade_where_that_is_allowed() -> None:
    book = Talk(self_trade=SelfTrade.ALLOWED)
    book.books.turn(Phase.AUCTION)
    bid, ask = book.rest(0, BUY, 100, 5), book.rest(0, SELL, 100, 8)

    book.books.turn(Phase.CONTINUOUS)

    assert book.trades() == [(100, 5, bid, ask)]


@pytest.mark.parametrize("kind", [Kind.IOC, Kind.FOK, Kind.MARKET, Kind.POST])
def test_an_auction_takes_only_orders_that_rest(kind: Kind) -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    assert book.say(kind, 0, BUY, 100, 1)[2] is Reason.WRONG_PHASE


def test_a_close_uncrosses_and_cancels_day_orders() -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    day, _, _ = book.say(Kind.DAY, 0, BUY, 100, 5)
    kept, ask = book.rest(1, BUY, 90, 2), book.rest(2, SELL, 100, 2)

    book.books.turn(Phase.CLOSED)

    assert book.trades() == [(100, 2, day, ask)]
    assert book.queue(Lane.BID, 100) == [] and book.queue(Lane.BID, 90) == [(kept, 2)]


def test_a_stop_that_the_uncross_reaches_executes() -> None:
    book = Talk()
    book.books.turn(Phase.AUCTION)
    bid, ask, high = book.rest(0, BUY, 100, 1), book.rest(1, SELL, 100, 1), book.rest(1, SELL, 105, 4)
    stop, _, _ = book.say(Kind.STOP, 2, BUY, 100, 3)

    book.books.turn(Phase.CONTINUOUS)

    assert book.trades() == [(100, 1, bid, ask), (105, 3, high, stop)]


def test_orders_that_the_ladder_leaves_behind_are_cancelled() -> None:
    book = Talk()
    book.rest(0, BUY, 5, 1)
    kept = book.rest(0, BUY, 100, 2)
    assert book.say(Kind.LIMIT, 1, SELL, 300, 1)[2] is Reason.OFF_LADDER

    book.books.shift(np.array([60]))

    assert book.say(Kind.LIMIT, 1, SELL, 300, 1)[2] is Reason.ACCEPTED
    assert book.best == (100, 300) and book.queue(Lane.BID, 100) == [(kept, 2)]
    assert book.account(0)["open"] == [2, 0]


def test_a_ladder_keeps_exactly_its_prices() -> None:
    book = Talk()
    book.books.shift(np.array([60]))
    for price in (305, 306, 315):
        book.rest(1, SELL, price, 2)
    for price in (60, 61):
        book.rest(0, BUY, price, 1)
    book.books.shift(np.array([50]))  # now from 50 to 305
    assert book.best == (61, 305) and book.account(1)["open"] == [0, 2]
    book.books.shift(np.array([61]))
    assert book.best == (61, 305) and book.account(0)["open"] == [1, 0]
    book.books.shift(np.array([62]))
    assert book.best == (None, 305) and book.account(0)["open"] == [0, 0]


def test_a_snapshot_brings_everything_back() -> None:
    book = Talk()
    ask = book.rest(1, SELL, 100, 5)
    snapshot = book.books.records.copy()
    first = book.say(Kind.MARKET, 0, BUY, size=3)

    book.books.records[...] = snapshot

    assert book.queue(Lane.ASK, 100) == [(ask, 5)] and book.account(0)["shares"] == 0
    assert book.say(Kind.MARKET, 0, BUY, size=3) == first


def test_a_feed_that_was_not_read_in_time_says_so() -> None:
    book = Talk(events=4)
    for price in range(10, 16):
        book.rest(0, BUY, price, 1)
    assert len(book.books.events(0, 2)) == 4
    with pytest.raises(LookupError, match="since: expected >= 2, got 1"):
        book.books.events(0, 1)
