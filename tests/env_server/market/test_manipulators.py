"""Manipulators in a market: what they risk, and that nothing is made or lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.market.choices import NO_QUOTE
from env_server.environments.market import Market, MarketConfig
from env_server.environments.market.book.records import CASH, Feed
from env_server.environments.market.config import Crowd, Worth

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

COPIES = np.arange(4, dtype=np.uint32)
IDLE = [{"": np.tile([NO_QUOTE, NO_QUOTE, 0], (len(COPIES), 1))}]
MANIPULATOR = 1
"""The agent behind the seat."""


def opened(*crowd: Crowd, steps: int = 400) -> Market:
    market = Market(MarketConfig(crowd=crowd, worth=Worth(volatility=0.0), steps=steps), len(COPIES))
    market.reset(3, COPIES)
    return market


def accounts(market: Market) -> Any:
    return market._markets["book"]["accounts"]


@pytest.mark.parametrize("style", ["spoofer", "layering"])
def test_in_a_quiet_market_a_spoof_rests_and_never_trades(style: Any) -> None:
    manipulator = Crowd(style=style, activity=1.0, least=1, most=2, take=1.0, holding=20)
    market, rested = opened(manipulator, Crowd(style="maker", count=2, activity=1.0, least=5)), []
    held = np.zeros(len(COPIES))
    for step in range(1, 400):
        market.step(IDLE)
        mine = accounts(market)[:, MANIPULATOR]
        shares, bids = mine["shares"].copy(), mine["open"][:, 0].copy()
        assert (shares <= 20).all()
        if step % 200 < 100:
            assert (shares >= held).all() and not bids.any()
        else:
            assert (shares <= held).all()
            rested.append(bids)
        held = shares
    assert set(np.unique(rested)) <= {0, 50, 100, 150, 200} and np.max(rested) == 200
    assert (mine["volume"] > 20).all()


@pytest.mark.parametrize(("style", "orders"), [("spoofer", 1), ("layering", 4)])
def test_a_spoof_whose_price_is_right_keeps_its_place(style: Any, orders: int) -> None:
    manipulator = Crowd(style=style, activity=1.0, take=0.0)
    market = opened(manipulator, Crowd(style="maker", count=2, activity=1.0))
    market._markets["step"] = 110  # in the later half of a cycle
    accounts(market)["shares"][:, MANIPULATOR] = 5
    ids = []
    for _ in range(20):
        market.step(IDLE)
        ids.append(market._markets["ids"][:, MANIPULATOR].copy())
    assert ((ids[10] > 0).sum(axis=1) == orders).all() and (np.array(ids[10:]) == ids[10]).all()


@pytest.mark.parametrize("style", ["spoofer", "layering", "quote_stuffing", "momentum_ignition", "stop_hunting"])
def test_cash_and_shares_only_change_hands(style: Any) -> None:
    victims = Crowd(style="protected", count=4, activity=0.5), Crowd(style="book_reader", count=8)
    market = opened(Crowd(style=style, activity=1.0), *victims, Crowd(style="noise", count=8))
    start = market.config.cash * 100 * CASH
    for _ in range(400):
        market.step(IDLE)
        assert not accounts(market)["shares"].sum(axis=1).any()
        assert not (accounts(market)["cash"] - start).sum(axis=1).any()
    sent = accounts(market)["volume"][:, MANIPULATOR] > 0
    assert sent.all() or style == "quote_stuffing"


def test_stops_of_the_protected_are_triggered() -> None:
    market, triggered = opened(Crowd(style="noise", count=12), Crowd(style="protected", count=6, cancel=0.0)), 0
    for _ in range(400):
        market.step(IDLE)
        for book in market._markets["book"]:
            feed = book["feed"][: book["fed"]]
            assert book["fed"] <= len(book["feed"])
            stops = feed[feed["kind"] == Feed.TRIGGERED]
            assert (stops["agent"] >= 13).all()
            triggered += len(stops)
    assert triggered > 0


def test_a_stuffer_sends_as_much_as_a_step_has_room_for() -> None:
    market = opened(Crowd(style="quote_stuffing", activity=1.0), Crowd(style="maker", count=1, activity=1.0), steps=20)
    for _ in range(20):
        market.step(IDLE)
    # Its own orders never trade with one another, and at most four of them rest.
    assert not accounts(market)["volume"].any()
    book = market._markets["book"]
    mine = (book["orders"]["agent"] == MANIPULATOR) & (book["orders"]["size"] > 0)
    assert (mine.sum(axis=1) <= 4).all() and (book["next_id"] > 20 * 3).all()
