"""What must hold after every message, checked by a second reading of the rules that shares no code with the engine."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from env_server.environments.market.book.queues import OPTIONS

Counts = NDArray[np.int64]

CONSERVED, UNCROSSED, FIRST_COME, AT_LIMIT, ACCOUNTED, LINKED, NO_SELF_TRADE, NEVER_RESTS = range(8)
NAMES: Final = {
    CONSERVED: "cash with fees, and shares, sum to zero",
    UNCROSSED: "best bid below best ask",
    FIRST_COME: "best price first, first come first",
    AT_LIMIT: "trades at the resting price, never beyond the limit",
    ACCOUNTED: "rested = executed + cancelled + resting",
    LINKED: "totals, fronts, queues, slots and open lots agree",
    NO_SELF_TRADE: "nobody trades with itself",
    NEVER_RESTS: "IOC, FOK and market never rest; FOK all or nothing; post-only never takes",
}
"""The invariants that one book's messages can break, by number."""

# The numbers below are written out again, so that a slip in the engine's tables shows here.
_RESTED, _REDUCED, _DELETED, _EXECUTED, _CROSSED, _TRIGGERED = 1, 2, 3, 4, 6, 8
_POST, _IOC, _FOK, _MARKET, _STOP = 3, 4, 5, 6, 7


@njit(**OPTIONS)
def check_message(book: Any, message: Any, result: Any, since: int, broken: Counts) -> None:
    """Check what a message did.

    Args:
        book: after it.
        message: what was asked.
        result: what came back.
        since: events before it.
        broken: int64 (invariants,), violations of each, added to.
    """
    if book.phase == 0 and book.count[0] and book.count[1] and book.best[0] >= book.best[1]:
        broken[UNCROSSED] += 1
    filled, whole = 0, message.kind == _IOC or message.kind == _FOK or message.kind == _MARKET
    for number in range(since, book.fed):
        event = book.feed[number & (len(book.feed) - 1)]
        own = result.id > 0 and event.other == result.id and message.kind != _STOP
        if event.kind == _EXECUTED:
            check_trade(book, event, own, message, broken)
            filled += event.size * own
        elif event.kind == _RESTED and whole:
            broken[NEVER_RESTS] += 1
    if filled != result.filled or (message.kind == _POST and filled):
        broken[NEVER_RESTS] += 1
    if message.kind == _FOK and filled and filled != message.size:
        broken[NEVER_RESTS] += 1
    cash, shares = book.collected, 0
    for agent in range(len(book.accounts)):
        cash += book.accounts[agent].cash
        shares += book.accounts[agent].shares
    if cash or shares:
        broken[CONSERVED] += 1


@njit(**OPTIONS)
def check_trade(book: Any, event: Any, own: bool, message: Any, broken: Counts) -> None:
    """Check a trade: nothing that rests now may have deserved it more."""
    if book.self_trade and event.agent == event.other_agent:
        broken[NO_SELF_TRADE] += 1
    worse = 1 if event.lane == 1 else -1
    if book.count[event.lane]:
        level = book.levels[event.lane, event.price & (book.levels.shape[1] - 1)]
        earlier = level.total > 0 and book.resting[level.head] < event.id
        if earlier or (own and (book.best[event.lane] - event.price) * worse < 0):
            broken[FIRST_COME] += 1
    if own and message.kind != _MARKET and (event.price - message.price) * worse > 0:
        broken[AT_LIMIT] += 1


@njit(**OPTIONS)
def check_book(book: Any, flows: Counts, since: int, broken: Counts) -> None:
    """Check the whole structure, and what came to rest against what left.

    Args:
        book: one book.
        flows: int64 (2,), lots that rested and lots that left so far, added to.
        since: events that ``flows`` has already.
        broken: as above.
    """
    for number in range(since, book.fed):
        event = book.feed[number & (len(book.feed) - 1)]
        if event.kind == _RESTED:
            flows[0] += event.size
        else:
            flows[1] += event.size * (2 if event.kind == _CROSSED else 1)
    live, lots = check_orders(book, broken)
    if lots != flows[0] - flows[1]:
        broken[ACCOUNTED] += 1
    queued = 0
    for lane in range(len(book.count)):
        queued += check_lane(book, lane, broken)
    if queued != live or live != book.live:
        broken[LINKED] += 1


@njit(**OPTIONS)
def check_orders(book: Any, broken: Counts) -> tuple[int, int]:
    """Check slots and open lots; returns how many orders and lots rest."""
    opened = np.zeros((len(book.accounts), 2), np.int64)
    live, slots = 0, len(book.orders)
    for slot in range(slots):
        order = book.orders[slot]
        id_ = book.resting[slot]
        if order.size < 0 or (order.size > 0) != (id_ > 0) or (id_ and (id_ & (slots - 1)) != slot):
            broken[LINKED] += 1
        if order.size:
            live += 1
            opened[order.agent, order.lane & 1] += order.size
    for agent in range(len(book.accounts)):
        if opened[agent, 0] != book.accounts[agent].open[0] or opened[agent, 1] != book.accounts[agent].open[1]:
            broken[LINKED] += 1
    return live, opened.sum()


@njit(**OPTIONS)
def check_lane(book: Any, lane: int, broken: Counts) -> int:
    """Check the queues and the front of a lane; returns how many orders are in it."""
    prices, front, queues, orders = book.levels.shape[1], 0, 0, 0
    for price in range(book.base, book.base + prices):
        if book.levels[lane, price & (prices - 1)].total == 0:
            continue
        if front == 0 or lane == 0 or lane == 3:
            front = price
        queues += 1
        orders += check_queue(book, lane, price, broken)
    if orders != book.count[lane] or queues != book.queues[lane] or (orders and front != book.best[lane]):
        broken[LINKED] += 1
    return orders


@njit(**OPTIONS)
def check_queue(book: Any, lane: int, price: int, broken: Counts) -> int:
    """Check the orders at a price; returns how many there are."""
    level = book.levels[lane, price & (book.levels.shape[1] - 1)]
    total, orders, slot, before, previous = 0, 0, level.head, -1, 0
    while total < level.total and orders <= len(book.orders):
        order, id_ = book.orders[slot], book.resting[slot]
        wrong = order.size <= 0 or order.price != price or order.lane != lane or id_ <= previous
        if wrong or (before >= 0 and order.prev != before):
            broken[LINKED] += 1
        total += order.size
        orders += 1
        before, previous, slot = slot, id_, order.next
    if total != level.total or before != level.tail:
        broken[LINKED] += 1
    return orders
