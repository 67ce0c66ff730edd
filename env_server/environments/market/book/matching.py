"""Price-time priority: what an incoming order trades with, and who pays what."""

from __future__ import annotations

from typing import Any, Final

from env_server.environments.market.book.queues import called, delete, inlined, level_of, onward, shrink, tell
from env_server.environments.market.book.records import CASH, MAX_PRICE, Feed, SelfTrade

EXECUTED, REDUCED = int(Feed.EXECUTED), int(Feed.REDUCED)
CANCEL_RESTING, CANCEL_INCOMING = int(SelfTrade.CANCEL_RESTING), int(SelfTrade.CANCEL_INCOMING)
UNIT: Final = CASH


@inlined
def any_price(side: int) -> int:
    """The limit of a market order."""
    return MAX_PRICE * (1 - side)


@inlined
def crosses(book: Any, side: int, limit: int) -> bool:
    """Whether an order of a side would trade at once."""
    other = 1 - side
    return book.count[other] > 0 and (book.best[other] - limit) * onward(other) <= 0


@inlined
def pay(book: Any, maker: int, taker: int, side: int, price: int, size: int) -> None:
    """Settle a trade in which the taker is of a side; fees go to the house."""
    sign = 1 - 2 * side
    rests, comes = book.accounts[maker], book.accounts[taker]
    cash, rebate, fee = price * size * sign * UNIT, book.maker_fee * size, book.taker_fee * size
    comes.cash -= cash + fee
    rests.cash += cash - rebate
    comes.shares += sign * size
    rests.shares -= sign * size
    comes.fees += fee
    rests.fees += rebate
    comes.volume += size
    rests.volume += size
    book.collected += fee + rebate
    book.last = price


@inlined
def match(book: Any, id_: int, agent: int, side: int, limit: int, size: int) -> tuple[int, int]:
    """Trade an incoming order with what rests, best price first, first come first.

    Returns:
        Lots that are left of it, and lots that were traded.
    """
    other, filled = 1 - side, 0
    while size > 0 and crosses(book, side, limit):
        slot = level_of(book, other, book.best[other]).head
        order = book.orders[slot]
        traded = min(size, order.size)
        if order.agent == agent and book.self_trade:
            if book.self_trade == CANCEL_RESTING:
                delete(book, slot)
            elif book.self_trade == CANCEL_INCOMING:
                size = 0
            else:
                size -= traded
                lessen(book, slot, traded)
            continue
        pay(book, order.agent, agent, side, order.price, traded)
        tell(book, EXECUTED, slot, traded, id_, agent)
        shrink(book, slot, traded)
        size -= traded
        filled += traded
    return size, filled


@inlined
def lessen(book: Any, slot: int, size: int) -> None:
    """Take lots off a resting order, and tell."""
    if size == book.orders[slot].size:
        delete(book, slot)
    else:
        tell(book, REDUCED, slot, size, 0, 0)
        shrink(book, slot, size)


@called
def fills(book: Any, agent: int, side: int, limit: int, size: int) -> bool:
    """Whether an order would trade all its lots. Where its own orders stop or shorten it, reaching one is a no."""
    other = 1 - side
    left = book.count[other]
    price, step = book.best[other], onward(other)
    while size > 0 and left > 0 and (price - limit) * step <= 0:
        level = level_of(book, other, price)
        ahead, slot = level.total, level.head
        while ahead > 0 and size > 0:
            order = book.orders[slot]
            if order.agent != agent or book.self_trade == 0:
                size -= order.size
            elif book.self_trade != CANCEL_RESTING:
                return False
            ahead -= order.size
            slot = order.next
            left -= 1
        price += step
    return size <= 0
