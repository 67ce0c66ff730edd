"""What happens to a whole book at once: auctions end, days end, and the ladder follows the price."""

from __future__ import annotations

from typing import Any, Final

from agora.market.messages import Kind
from env_server.environments.market.book.matching import lessen
from env_server.environments.market.book.messages import trigger
from env_server.environments.market.book.queues import called, delete, inlined, level_of, shrink, tell
from env_server.environments.market.book.records import CASH, Feed, Lane, Phase

BID, ASK = int(Lane.BID), int(Lane.ASK)
CONTINUOUS, AUCTION, CLOSED = int(Phase.CONTINUOUS), int(Phase.AUCTION), int(Phase.CLOSED)
CROSSED, DAY = int(Feed.CROSSED), int(Kind.DAY)
UNIT: Final = CASH


@called
def clearing_price(book: Any) -> int:
    """The price at which most lots trade in a crossed book.

    Among such prices the one that leaves least, then the nearest to the last trade (without one: to the middle), then
    the lowest.
    """
    low, high = book.best[ASK], book.best[BID]
    near = book.last if book.last else (low + high) // 2
    demand, supply = 0, 0
    for price in range(low, high + 1):
        demand += level_of(book, BID, price).total
    chosen, most, least = low, -1, 0
    for price in range(low, high + 1):
        supply += level_of(book, ASK, price).total
        volume, excess = min(demand, supply), abs(demand - supply)
        nearer = abs(price - near) < abs(chosen - near)
        if volume > most or (volume == most and (excess < least or (excess == least and nearer))):
            chosen, most, least = price, volume, excess
        demand -= level_of(book, BID, price).total
    return chosen


@inlined
def cross(book: Any, bid_slot: int, ask_slot: int, price: int) -> None:
    """Trade two resting orders at a price, without fees; where they are one agent's, both only shrink."""
    bid, ask = book.orders[bid_slot], book.orders[ask_slot]
    size = min(bid.size, ask.size)
    if bid.agent == ask.agent and book.self_trade:
        lessen(book, bid_slot, size)
        lessen(book, ask_slot, size)
        return
    buys, sells, cash = book.accounts[bid.agent], book.accounts[ask.agent], price * size * UNIT
    buys.cash -= cash
    sells.cash += cash
    buys.shares += size
    sells.shares -= size
    buys.volume += size
    sells.volume += size
    tell(book, CROSSED, bid_slot, size, book.resting[ask_slot], ask.agent)
    book.feed[(book.fed - 1) & (len(book.feed) - 1)].price = price
    book.last = price
    shrink(book, bid_slot, size)
    shrink(book, ask_slot, size)


@called
def uncross(book: Any) -> None:
    """Trade what crosses, all at one price, in price-time priority."""
    while book.count[BID] and book.count[ASK] and book.best[BID] >= book.best[ASK]:
        price = clearing_price(book)
        while book.count[BID] and book.count[ASK] and book.best[BID] >= price >= book.best[ASK]:
            cross(book, level_of(book, BID, book.best[BID]).head, level_of(book, ASK, book.best[ASK]).head, price)


@called
def turn(book: Any, phase: int) -> None:
    """Enter a phase: auctions that end are uncrossed, and a close cancels day orders."""
    if phase == CONTINUOUS or (phase == CLOSED and book.phase == AUCTION):
        uncross(book)
    book.phase = phase
    if phase == CLOSED:
        for slot in range(len(book.orders)):
            if book.resting[slot] and book.orders[slot].kind == DAY:
                delete(book, slot)
    trigger(book)


@called
def shift(book: Any, base: int) -> None:
    """Move the ladder; orders at prices that it no longer has are cancelled."""
    top = base + book.levels.shape[1]
    for slot in range(len(book.orders)):
        order = book.orders[slot]
        if book.resting[slot] and (order.price < base or order.price >= top):
            delete(book, slot)
    book.base = base
