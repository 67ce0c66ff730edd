"""What agents and critics are shown of a market, and how compiled code writes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces

from agora.market.draws import compiled, keyed, normal
from agora.market.layout import OWN_ORDERS, WINDOW, Flow
from env_server.environments.market.book.depth import levels
from env_server.environments.market.book.queues import called, inlined, level_of
from env_server.environments.market.book.records import CASH
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.seats import write_orders_mask, write_quotes_mask
from env_server.environments.market.step import BID, CROSSED, EXECUTED, look, recall

Shapes = Mapping[str, tuple[int, ...]]

UNIT: Final = 100.0
"""Ticks in which prices are counted from the opening price."""
NEAR: Final = 10.0
"""Ticks in which distances from the middle are."""
LOTS: Final = 5.0
"""By which ln(1 + lots) is divided."""
BOOK: Final = 32
"""Ticks on either side of the middle that the global state has."""
SIGNAL: Final = 2**20
"""Keys of a step's signals, from the first seat's on."""
OWN: Final = 6
MARKET: Final = 3
PRICES: Final = ("price", "mid", "price_change_10", "sma_50", "spread")
"""Leaves of one number."""
LOGARITHMS: Final = np.log1p(np.arange(1_024)) / LOTS
"""Of so many lots, as they are shown."""


def observed(config: MarketConfig) -> Shapes:
    """What a seat sees: shapes of its leaves in the order of its row.

    * ``price``, ``mid``, ``sma_50``: last trade, middle, mean of the last 50 middles, as (ticks - opening price) / 100.
    * ``price_change_10``: of the middle over ten steps, in percent.
    * ``spread``: ticks / 10.
    * ``market`` (3,): volatility (mean |change| of the middle per step, ticks / 10), imbalance of the best sizes in
      [-1, 1], share of the episode that is left.
    * ``own`` (6,): inventory, open bids, open asks (shares of the position limit), gain (cash less that of the start,
      and shares at the opening price, in 100 ticks times the position limit), reason of the last rejection (as in
      ``Reason``), rejections / 100.
    * ``depth`` (2, depth, 2): bids, asks: distance from the middle in ticks / 10, ln(1 + lots) / 5.
    * ``orders`` (4, 4): own orders, oldest first: 1 bid or -1 ask, distance from the middle in ticks / 10, lots / 10,
      ln(1 + lots ahead of it) / 5.
    * ``signal``, if ``informed``: what a lot is worth, with an error of its own, as (ticks - opening price) / 100.
    * ``flow`` (4, 128), if ``flow``: ln(1 + lots) / 5 of bids, asks, bought and sold of late (see ``Flow``), from 64
      ticks below the middle to 63 above.
    """
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(PRICES, ()),
        "market": (MARKET,),
        "own": (OWN,),
        "depth": (2, config.depth, 2),
        "orders": (OWN_ORDERS, 4),
    }
    if config.informed:
        shapes["signal"] = ()
    if config.flow:
        shapes["flow"] = (len(Flow), WINDOW)
    return shapes


def known(agents: int) -> Shapes:
    """What critics see: shapes of its leaves in the order of its row.

    * ``book`` (2, 64): ln(1 + lots) / 5 of bids and asks, from 32 ticks below the middle to 31 above.
    * ``accounts`` (agents, 2), seats first: inventory and gain as x / (s + |x|), s a seat's position limit and 100
      ticks times that; a gain is cash less that of the start, and shares at the opening price.
    * ``market`` (4,): worth of a lot and middle, as (ticks - opening price) / 100, volatility, share that is left.
    """
    return {"book": (2, 2 * BOOK), "accounts": (agents, 2), "market": (4,)}


def space_of(shapes: Shapes) -> spaces.Dict:
    """The space of such leaves."""
    return spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in shapes.items()})


@compiled
def shown(lots: float) -> float:
    """Lots as they are shown."""
    return math.log1p(lots) / LOTS


@compiled
def whole(lots: int) -> float:
    """Whole lots as they are shown."""
    return LOGARITHMS[lots] if lots < len(LOGARITHMS) else shown(lots)


@compiled
def gain(account: Any, settings: Any) -> float:
    """Cash less that of the start, and shares at the opening price, in ticks times lots."""
    return float(account.cash * (1.0 / CASH) - settings.cash + account.shares * settings.mean)


@compiled
def squashed(value: float, scale: float) -> float:
    """A number between -1 and 1."""
    return value / (scale + abs(value))


@compiled
def ahead(book: Any, id_: int) -> int:
    """Lots that trade before an order does, at its price."""
    order = book.orders[id_ & (len(book.orders) - 1)]
    lots, slot = 0, order.prev
    level = level_of(book, order.lane, order.price)
    at = id_ & (len(book.orders) - 1)
    while at != level.head:
        lots += book.orders[slot].size
        at, slot = slot, book.orders[slot].prev
    return lots


@inlined
def write_own(market: Any, seat: int, own: Any, orders: Any) -> None:
    """Write a seat's account, float32 (OWN,), and its orders, float32 (OWN_ORDERS, 4); it has looked."""
    book, sight, account = market.book, market.sight, market.book.accounts[seat]
    limit = float(account.limit)
    own[0] = account.shares / limit
    own[1], own[2] = account.open[0] / limit, account.open[1] / limit
    own[3] = gain(account, market.settings) / (UNIT * limit)
    own[4], own[5] = account.reason, account.rejected / 100.0
    orders[:] = 0.0
    for place in range(sight.count):
        order = orders[place]
        order[0], order[1] = 1.0 - 2.0 * sight.side[place], (sight.price[place] - sight.mid) / NEAR
        order[2], order[3] = sight.size[place] / 10.0, whole(ahead(book, sight.id[place]))


@inlined
def signal_of(market: Any, seat: int) -> float:
    """What a lot is worth, as a seat is told."""
    settings = market.settings
    error = settings.signal_noise * normal(keyed(keyed(market.key, market.step), SIGNAL + seat), 0)
    return (market.worth + error - settings.mean) / UNIT


@inlined
def write_prices(market: Any, at: int, prices: Any) -> None:
    """Write the leaves of one number, ``PRICES``, float32 (5, B), of market number ``at``."""
    book, sight, opening = market.book, market.sight, market.settings.mean
    prices[0, at] = (book.last - opening) / UNIT if book.last else 0.0
    prices[1, at] = (sight.mid - opening) / UNIT
    prices[2, at] = 100.0 * sight.change
    prices[3, at] = (sight.average - opening) / UNIT
    prices[4, at] = (sight.ask - sight.bid) / NEAR if sight.bid and sight.ask else 0.0


@inlined
def write_levels(market: Any, front: Any, found: Any, tape: Any, depth: Any, about: Any) -> None:
    """Write the best levels.

    Args:
        market: one record.
        front: int64 (2, 2, levels), prices and lots of bids and asks.
        found: int64 (2,), how many levels there are.
        tape: int32 (2, LOGGED_LEVELS, 2), written for the log.
        depth: float32 (2, levels, 2), written for the seats.
        about: float32 (MARKET,), written for the seats.
    """
    sight, settings = market.sight, market.settings
    tape[:] = 0
    depth[:] = 0.0
    for lane in range(2):
        for level in range(min(found[lane], tape.shape[1])):
            tape[lane, level, 0], tape[lane, level, 1] = front[lane, 0, level], front[lane, 1, level]
        for level in range(min(found[lane], depth.shape[1])):
            depth[lane, level, 0] = (front[lane, 0, level] - sight.mid) / NEAR
            depth[lane, level, 1] = whole(front[lane, 1, level])
    bids = front[0, 1, 0] if found[0] else 0
    asks = front[1, 1, 0] if found[1] else 0
    about[0] = sight.volatility / NEAR
    about[1] = (bids - asks) / (bids + asks) if bids + asks else 0.0
    about[2] = 1.0 - market.step / settings.steps


@called
def write_flow(market: Any, flow: Any) -> None:
    """Write recent order flow around the middle, float32 (4, WINDOW)."""
    first = math.floor(market.sight.mid) - WINDOW // 2
    for kind in range(flow.shape[0]):
        for place in range(WINDOW):
            flow[kind, place] = shown(market.sight.flow[kind, (first + place) & (WINDOW - 1)] / market.growth)


@inlined
def write_state(market: Any, around: Any, accounts: Any, known: Any) -> None:
    """Write what critics see: the book, float32 (2, 2 BOOK), accounts (agents, 2) and numbers (4,)."""
    book, sight, settings = market.book, market.sight, market.settings
    first = math.floor(sight.mid) - BOOK
    around[:] = 0.0
    low, high = max(first, book.base), min(first + 2 * BOOK, book.base + book.levels.shape[1])
    for lane in range(2):
        if book.count[lane] == 0:
            continue
        best = book.best[lane]
        for price in range(low, min(high, best + 1)) if lane == BID else range(max(low, best), high):
            lots = level_of(book, lane, price).total
            if lots:
                around[lane, price - first] = whole(lots)
    limit = float(book.accounts[0].limit)
    for agent in range(len(accounts)):
        account = book.accounts[agent]
        accounts[agent, 0] = squashed(account.shares, limit)
        accounts[agent, 1] = squashed(gain(account, settings), UNIT * limit)
    known[0], known[1] = (market.worth - settings.mean) / UNIT, (sight.mid - settings.mean) / UNIT
    known[2], known[3] = sight.volatility / NEAR, 1.0 - market.step / settings.steps


@inlined
def write_trades(market: Any, trades: Any) -> None:
    """Write the step's first trades for the log.

    Args:
        market: one record.
        trades: int32 (LOGGED_TRADES, 3), written: price, lots and side; 1: the incoming order bought, -1: it sold,
            0: an uncross.
    """
    book, count = market.book, 0
    trades[:] = 0
    for number in range(market.since, book.fed):
        event = book.feed[number & (len(book.feed) - 1)]
        if count < len(trades) and (event.kind == EXECUTED or event.kind == CROSSED):
            trades[count, 0], trades[count, 1] = event.price, event.size
            trades[count, 2] = 2 * event.lane - 1 if event.kind == EXECUTED else 0
            count += 1


@called
def show(market: Any, at: int, to: Any, front: Any, found: Any) -> None:
    """Write what a market shows.

    Args:
        market: one record.
        at: its number among the B markets.
        to: ``Shown``, written.
        front: int64 (2, 2, levels), scratch.
        found: int64 (2,), scratch.
    """
    for seat in range(len(to.own)):
        look(market, seat)
        recall(market)
        write_own(market, seat, to.own[seat, at], to.orders[seat, at])
        if market.settings.informed:
            to.signal[seat, at] = signal_of(market, seat)
        if seat < len(to.makers):
            write_quotes_mask(market.book, seat, to.makers[seat, at])
        else:
            write_orders_mask(market.book, seat, to.traders[seat - len(to.makers), at])
        account = market.book.accounts[seat]
        to.inventory[at, seat], to.equity[at, seat] = account.shares, market.equity[seat]
    for lane in range(2):
        found[lane] = levels(market.book, lane, front[lane, 0], front[lane, 1])
    write_prices(market, at, to.prices)
    write_levels(market, front, found, to.tape[at], to.depth[at], to.market[at])
    if market.settings.shows_flow:
        write_flow(market, to.flow[at])
    write_state(market, to.book[at], to.accounts[at], to.known[at])
    write_trades(market, to.trades[at])
    to.mid[at], to.worth[at] = market.sight.mid, market.worth
    to.volume[at], to.traded[at] = market.volume, market.flow
