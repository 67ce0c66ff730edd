"""What agents, critics and the log are shown of a market: arrays, written by compiled code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.market.draws import compiled, keyed, normal
from agora.market.layout import OWN_ORDERS, WINDOW, Flow
from env_server.environments.market.book.depth import levels
from env_server.environments.market.book.queues import called, level_of
from env_server.environments.market.book.records import CASH
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.step import CROSSED, EXECUTED, look

Floats = NDArray[np.float32]
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
TAPE: Final = 5
MARKET: Final = 3


def observed(config: MarketConfig) -> Shapes:
    """What a seat sees: shapes of its leaves in the order of its row.

    * ``price``, ``mid``, ``sma_50``: last trade, middle, mean of the last 50 middles, as (ticks - opening price) / 100.
    * ``price_change_10``: of the middle over ten steps, in percent.
    * ``spread``: ticks / 10.
    * ``market`` (3,): volatility (mean |change| of the middle per step, ticks / 10), imbalance of the best sizes in
      [-1, 1], share of the episode that is left.
    * ``own`` (6,): inventory, open bids, open asks (shares of the position limit), cash less that of the start (in 100
      ticks times the position limit), reason of the last rejection (as in ``Reason``), rejections / 100.
    * ``depth`` (2, depth, 2): bids, asks: distance from the middle in ticks / 10, ln(1 + lots) / 5.
    * ``orders`` (4, 4): own orders, oldest first: 1 bid or -1 ask, distance from the middle in ticks / 10, lots / 10,
      ln(1 + lots ahead of it) / 5.
    * ``signal``, if ``informed``: what a lot is worth, with an error of its own, as (ticks - opening price) / 100.
    * ``flow`` (4, 128), if ``flow``: ln(1 + lots) / 5 of bids, asks, bought and sold of late (see ``Flow``), from 64
      ticks below the middle to 63 above.
    """
    shapes: dict[str, tuple[int, ...]] = {
        "price": (),
        "mid": (),
        "price_change_10": (),
        "sma_50": (),
        "spread": (),
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
    * ``accounts`` (agents, 2): inventory / position limit, cash less that of the start, seats first.
    * ``market`` (4,): worth of a lot and middle, as (ticks - opening price) / 100, volatility, share that is left.
    """
    return {"book": (2, 2 * BOOK), "accounts": (agents, 2), "market": (4,)}


def space_of(shapes: Shapes) -> spaces.Dict:
    """The space of such leaves."""
    return spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape, np.float32) for name, shape in shapes.items()})


def width(shapes: Shapes) -> int:
    """Numbers in a row."""
    return sum(math.prod(shape) for shape in shapes.values())


def places(shapes: Shapes) -> dict[str, slice]:
    """Where leaves lie in a row."""
    widths = [math.prod(shape) for shape in shapes.values()]
    ends = np.cumsum(widths).tolist()
    return {name: slice(end - width, end) for name, end, width in zip(shapes, ends, widths, strict=True)}


@compiled
def shown(lots: float) -> float:
    """Lots as they are shown."""
    return math.log1p(lots) / LOTS


@compiled
def cash_of(account: Any, start: float, limit: float) -> float:
    """Cash less that of the start, in 100 ticks times the position limit."""
    return (account.cash / CASH - start) / (UNIT * limit)


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


@called
def write_view(market: Any, seat: int, depth: int, row: Floats, prices: Any, sizes: Any) -> None:
    """Write what a seat sees, float32 (width,), leaf after leaf; prices and sizes (depth,) are scratch."""
    look(market, seat)
    book, sight, settings = market.book, market.sight, market.settings
    opening, mid, limit = settings.mean, sight.mid, float(book.accounts[seat].limit)
    row[:] = 0.0
    row[0] = (book.last - opening) / UNIT if book.last else 0.0
    row[1] = (mid - opening) / UNIT
    row[2] = 100.0 * sight.change
    row[3] = (sight.average - opening) / UNIT
    row[4] = (sight.ask - sight.bid) / NEAR if sight.bid and sight.ask else 0.0
    at = TAPE
    row[at] = sight.volatility / NEAR
    row[at + 2] = 1.0 - market.step / settings.steps
    own = at + MARKET
    account = book.accounts[seat]
    row[own] = account.shares / limit
    row[own + 1], row[own + 2] = account.open[0] / limit, account.open[1] / limit
    row[own + 3] = cash_of(account, settings.cash, limit)
    row[own + 4], row[own + 5] = account.reason, account.rejected / 100.0
    place = own + OWN
    best = np.zeros(2)
    for lane in range(2):
        for level in range(levels(book, lane, prices, sizes)):
            row[place + 2 * level] = (prices[level] - mid) / NEAR
            row[place + 2 * level + 1] = shown(sizes[level])
            if level == 0:
                best[lane] = sizes[0]
        place += 2 * depth
    if best[0] + best[1] > 0.0:
        row[at + 1] = (best[0] - best[1]) / (best[0] + best[1])
    for order in range(sight.count):
        at = place + 4 * order
        row[at], row[at + 1] = 1.0 - 2.0 * sight.side[order], (sight.price[order] - mid) / NEAR
        row[at + 2], row[at + 3] = sight.size[order] / 10.0, shown(ahead(book, sight.id[order]))
    place += 4 * OWN_ORDERS
    if settings.informed:
        error = settings.signal_noise * normal(keyed(keyed(market.key, market.step), SIGNAL + seat), 0)
        row[place] = (market.worth + error - opening) / UNIT
        place += 1
    if settings.shows_flow:
        first = math.floor(mid) - WINDOW // 2
        for kind in range(sight.flow.shape[0]):
            for price in range(first, first + WINDOW):
                row[place] = shown(sight.flow[kind, price & (WINDOW - 1)] / market.growth)
                place += 1


@called
def write_state(market: Any, row: Floats) -> None:
    """Write what critics see, float32 (width,), leaf after leaf."""
    book, sight, settings = market.book, market.sight, market.settings
    middle, place = math.floor(sight.mid), 0
    for lane in range(2):
        for price in range(middle - BOOK, middle + BOOK):
            there = book.count[lane] > 0 and price >= book.base and price < book.base + book.levels.shape[1]
            row[place] = shown(level_of(book, lane, price).total) if there else 0.0
            place += 1
    limit = float(book.accounts[0].limit)
    for agent in range(settings.agents):
        row[place] = book.accounts[agent].shares / limit
        row[place + 1] = cash_of(book.accounts[agent], settings.cash, limit)
        place += 2
    row[place], row[place + 1] = (market.worth - settings.mean) / UNIT, (sight.mid - settings.mean) / UNIT
    row[place + 2], row[place + 3] = sight.volatility / NEAR, 1.0 - market.step / settings.steps


@called
def write_tape(market: Any, depth: Any, trades: Any, prices: Any, sizes: Any) -> None:
    """Write what the log keeps of the book.

    Args:
        market: one record.
        depth: int32 (2, levels, 2), written: price and lots of bids and asks, zeros where there are none.
        trades: int32 (most, 3), written: price, lots and side of the step's first trades; 1: the incoming order bought,
            -1: it sold, 0: an uncross.
        prices: int64 (levels,), scratch.
        sizes: int64 (levels,), scratch.
    """
    book, count = market.book, 0
    depth[:] = 0
    trades[:] = 0
    for lane in range(2):
        for level in range(levels(book, lane, prices, sizes)):
            depth[lane, level, 0], depth[lane, level, 1] = prices[level], sizes[level]
    for number in range(market.since, book.fed):
        event = book.feed[number & (len(book.feed) - 1)]
        if count < len(trades) and (event.kind == EXECUTED or event.kind == CROSSED):
            trades[count, 0], trades[count, 1] = event.price, event.size
            trades[count, 2] = 2 * event.lane - 1 if event.kind == EXECUTED else 0
            count += 1
