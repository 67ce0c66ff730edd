"""Matching by hand: who trades with whom, at what price, and what it costs."""

from __future__ import annotations

import pytest

from agora.market.messages import Kind, Reason
from env_server.environments.market.book.records import Lane, SelfTrade
from tests.support.markets import BUY, SELL, Talk


def test_the_best_price_comes_first_and_then_who_came_first() -> None:
    book = Talk()
    late = book.rest(1, SELL, 101, 5)
    first, second = book.rest(1, SELL, 100, 5), book.rest(2, SELL, 100, 5)

    id_, filled, reason = book.say(Kind.LIMIT, 0, BUY, 101, 12)

    assert (filled, reason) == (12, Reason.ACCEPTED)
    assert book.trades() == [(100, 5, first, id_), (100, 5, second, id_), (101, 2, late, id_)]
    assert book.best == (None, 101)


def test_what_a_limit_order_does_not_trade_rests_at_its_price() -> None:
    book = Talk()
    book.rest(1, SELL, 100, 5)

    id_, filled, _ = book.say(Kind.LIMIT, 0, BUY, 100, 8)

    assert filled == 5 and book.queue(Lane.BID, 100) == [(id_, 3)] and book.best == (100, None)


@pytest.mark.parametrize(("kind", "filled"), [(Kind.IOC, 5), (Kind.MARKET, 7)])
def test_immediate_orders_leave_nothing(kind: Kind, filled: int) -> None:
    book = Talk()
    book.rest(1, SELL, 100, 5)
    book.rest(1, SELL, 103, 2)

    assert book.say(kind, 0, BUY, 100, 9)[1:] == (filled, Reason.ACCEPTED)
    assert book.best[0] is None


def test_fill_or_kill_is_all_or_nothing() -> None:
    book = Talk()
    book.rest(1, SELL, 100, 5)
    book.rest(1, SELL, 101, 5)

    assert book.say(Kind.FOK, 0, BUY, 100, 6) == (0, 0, Reason.NOT_FILLED)
    assert book.trades() == []
    assert book.say(Kind.FOK, 0, BUY, 101, 6)[1:] == (6, Reason.ACCEPTED)


@pytest.mark.parametrize("mode", [SelfTrade.CANCEL_INCOMING, SelfTrade.DECREMENT])
def test_fill_or_kill_is_killed_where_an_own_order_would_end_it(mode: SelfTrade) -> None:
    book = Talk(self_trade=mode)
    book.rest(0, SELL, 100, 2)
    book.rest(1, SELL, 100, 9)

    assert book.say(Kind.FOK, 0, BUY, 100, 6) == (0, 0, Reason.NOT_FILLED)


def test_post_only_is_rejected_rather_than_taking() -> None:
    book = Talk()
    book.rest(1, SELL, 100, 5)

    assert book.say(Kind.POST, 0, BUY, 100, 1) == (0, 0, Reason.WOULD_TRADE)
    assert book.say(Kind.POST, 0, BUY, 99, 1)[2] is Reason.ACCEPTED
    assert book.best == (99, 100)


def test_a_stop_waits_for_its_price_and_sets_off_the_next() -> None:
    book = Talk()
    asks = [book.rest(1, SELL, price, 2) for price in (100, 101, 102)]
    stop, _, _ = book.say(Kind.STOP, 2, BUY, 100, 2)
    next_stop, _, _ = book.say(Kind.STOP, 3, BUY, 101, 1)
    assert book.trades() == []

    taker, filled, _ = book.say(Kind.LIMIT, 0, BUY, 100, 2)

    assert filled == 2
    assert book.trades() == [(100, 2, asks[0], taker), (101, 2, asks[1], stop), (102, 1, asks[2], next_stop)]


def test_a_sell_stop_triggers_at_its_price_or_below() -> None:
    book = Talk()
    bids = [book.rest(1, BUY, 100, 1), book.rest(1, BUY, 97, 5)]
    stop, _, _ = book.say(Kind.STOP, 2, SELL, 99, 3)

    book.say(Kind.MARKET, 0, SELL, size=1)
    assert book.trades() == [(100, 1, bids[0], bids[0] + 3)]
    taker, _, _ = book.say(Kind.MARKET, 0, SELL, size=1)

    assert book.trades() == [(97, 1, bids[1], taker), (97, 3, bids[1], stop)]


def test_reducing_keeps_the_place_and_replacing_loses_it() -> None:
    book = Talk()
    first, second = book.rest(1, BUY, 100, 5), book.rest(2, BUY, 100, 5)

    assert book.say(Kind.REDUCE, 1, size=2, order=first) == (first, 0, Reason.ACCEPTED)
    assert book.queue(Lane.BID, 100) == [(first, 3), (second, 5)]
    assert book.say(Kind.REPLACE, 1, price=100, size=2, order=first)[0] == first
    assert book.queue(Lane.BID, 100) == [(first, 2), (second, 5)]
    bigger, _, _ = book.say(Kind.REPLACE, 1, price=100, size=4, order=first)
    assert book.queue(Lane.BID, 100) == [(second, 5), (bigger, 4)]


def test_a_replacement_may_trade() -> None:
    book = Talk()
    ask, bid = book.rest(1, SELL, 100, 5), book.rest(2, BUY, 98, 4)

    id_, filled, _ = book.say(Kind.REPLACE, 2, price=100, size=4, order=bid)

    assert filled == 4 and book.trades() == [(100, 4, ask, id_)] and book.best == (None, 100)


def test_reducing_by_all_of_it_cancels() -> None:
    book = Talk()
    order = book.rest(1, BUY, 100, 5)

    book.say(Kind.REDUCE, 1, size=9, order=order)

    assert book.best == (None, None) and book.account(1)["open"] == [0, 0]


def test_both_sides_pay_their_fees_to_the_house() -> None:
    book = Talk(maker_fee=-20, taker_fee=30)
    book.rest(1, SELL, 100, 5)

    book.say(Kind.LIMIT, 0, BUY, 105, 5)

    # 5 lots at 100 ticks are 500,000 thousandths of a tick; the taker pays 30 a lot, the maker is given 20.
    assert (book.account(0)["cash"], book.account(0)["shares"], book.account(0)["fees"]) == (-500_150, 5, 150)
    assert (book.account(1)["cash"], book.account(1)["shares"], book.account(1)["fees"]) == (500_100, -5, -100)
    assert book.books.records[0]["collected"] == 50


@pytest.mark.parametrize(
    ("mode", "filled", "asks", "left"),
    [
        (SelfTrade.ALLOWED, 6, [(2, 2)], []),
        (SelfTrade.CANCEL_RESTING, 5, [], [1]),
        (SelfTrade.CANCEL_INCOMING, 0, [(1, 3), (2, 5)], []),
        (SelfTrade.DECREMENT, 3, [(2, 2)], []),
    ],
)
def test_an_agent_meets_its_own_order(
    mode: SelfTrade, filled: int, asks: list[tuple[int, int]], left: list[int]
) -> None:
    book = Talk(self_trade=mode)
    book.rest(0, SELL, 100, 3)
    book.rest(1, SELL, 100, 5)

    id_, traded, reason = book.say(Kind.LIMIT, 0, BUY, 100, 6)

    assert (traded, reason) == (filled, Reason.ACCEPTED)
    assert book.queue(Lane.ASK, 100) == asks
    assert book.queue(Lane.BID, 100) == [(id_, lots) for lots in left]
