"""What becomes of a message: checked, matched, rested, or rejected with a reason and nothing changed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from agora.market.messages import MAX_SIZE, Kind, Reason
from env_server.environments.market.book.matching import any_price, crosses, fills, lessen, match
from env_server.environments.market.book.queues import (
    called,
    delete,
    inlined,
    rest,
    shrink,
    tell,
)
from env_server.environments.market.book.records import Feed, Lane, Phase

LIMIT, DAY, POST, IOC = int(Kind.LIMIT), int(Kind.DAY), int(Kind.POST), int(Kind.IOC)
FOK, MARKET, STOP = int(Kind.FOK), int(Kind.MARKET), int(Kind.STOP)
CANCEL, REDUCE, REPLACE = int(Kind.CANCEL), int(Kind.REDUCE), int(Kind.REPLACE)
BUY_STOP, SELL_STOP = int(Lane.BUY_STOP), int(Lane.SELL_STOP)
CONTINUOUS, AUCTION = int(Phase.CONTINUOUS), int(Phase.AUCTION)
TRIGGERED = int(Feed.TRIGGERED)

BAD_KIND, BAD_AGENT, BAD_SIDE, BAD_SIZE = (
    int(Reason.BAD_KIND),
    int(Reason.BAD_AGENT),
    int(Reason.BAD_SIDE),
    int(Reason.BAD_SIZE),
)
OFF_LADDER, UNKNOWN_ORDER, NOT_YOURS = int(Reason.OFF_LADDER), int(Reason.UNKNOWN_ORDER), int(Reason.NOT_YOURS)
POSITION_LIMIT, BOOK_FULL, WOULD_TRADE = int(Reason.POSITION_LIMIT), int(Reason.BOOK_FULL), int(Reason.WOULD_TRADE)
NOT_FILLED, WRONG_PHASE = int(Reason.NOT_FILLED), int(Reason.WRONG_PHASE)


@inlined
def off_ladder(book: Any, price: int) -> bool:
    """Whether no queue is at a price."""
    base = book.base
    return price < base or price >= base + book.levels.shape[1]


@inlined
def beyond(book: Any, agent: int, side: int, more: int) -> bool:
    """Whether so many lots more on a side could take the agent past its position limit."""
    account = book.accounts[agent]
    return account.shares * (1 - 2 * side) + account.open[side] + more > account.limit


@inlined
def refusal(book: Any, kind: int, agent: int, side: int, price: int, size: int) -> int:
    """The reason to reject a new order; 0: none."""
    if side < 0 or side > 1:
        return BAD_SIDE
    if size <= 0 or size > MAX_SIZE:
        return BAD_SIZE
    if kind != MARKET and off_ladder(book, price):
        return OFF_LADDER
    if beyond(book, agent, side, size):
        return POSITION_LIMIT
    if book.live >= len(book.orders):
        return BOOK_FULL
    if book.phase != CONTINUOUS and (book.phase != AUCTION or (kind != LIMIT and kind != DAY and kind != STOP)):
        return WRONG_PHASE
    if kind == POST and crosses(book, side, price):
        return WOULD_TRADE
    if kind == FOK and not fills(book, agent, side, price, size):
        return NOT_FILLED
    return 0


@inlined
def new_id(book: Any) -> int:
    """The next id whose slot is free: one that a resting order's slot has is skipped."""
    id_ = book.next_id
    while book.resting[id_ & (len(book.orders) - 1)]:
        id_ += 1
    book.next_id = id_ + 1
    return id_


@inlined
def enter(book: Any, kind: int, agent: int, side: int, price: int, size: int, result: Any) -> None:
    """Match and rest an order that is not refused."""
    id_ = new_id(book)
    result.id = id_
    if kind == STOP:
        rest(book, id_, agent, BUY_STOP + side, price, size, kind)
        return
    left = size
    if book.phase == CONTINUOUS:
        limit = any_price(side) if kind == MARKET else price
        left, filled = match(book, id_, agent, side, limit, size)
        result.filled = filled
    if left and kind <= POST:
        rest(book, id_, agent, side, price, left, kind)


@called
def replace(book: Any, slot: int, price: int, size: int, result: Any) -> int:
    """Give a resting order another price and size; returns the reason not to, or 0."""
    order = book.orders[slot]
    lane, kind, agent = order.lane, order.kind, order.agent
    if lane > 1:
        return BAD_KIND
    if size <= 0 or size > MAX_SIZE:
        return BAD_SIZE
    if off_ladder(book, price):
        return OFF_LADDER
    if beyond(book, agent, lane, size - order.size):
        return POSITION_LIMIT
    if book.phase > AUCTION:
        return WRONG_PHASE
    if kind == POST and crosses(book, lane, price):
        return WOULD_TRADE
    if price == order.price and size <= order.size:
        if size < order.size:
            lessen(book, slot, order.size - size)
        return 0
    delete(book, slot)
    enter(book, kind, agent, lane, price, size, result)
    return 0


@inlined
def amend(book: Any, message: Any, result: Any) -> int:
    """Cancel, reduce or replace; returns the reason not to, or 0."""
    slot = message.id & (len(book.orders) - 1)
    order = book.orders[slot]
    if message.id <= 0 or book.resting[slot] != message.id:
        return UNKNOWN_ORDER
    if order.agent != message.agent:
        return NOT_YOURS
    result.id = message.id
    if message.kind == CANCEL:
        delete(book, slot)
        return 0
    if message.kind == REDUCE:
        if message.size <= 0:
            return BAD_SIZE
        lessen(book, slot, min(message.size, order.size))
        return 0
    return replace(book, slot, message.price, message.size, result)


@called
def trigger(book: Any) -> None:
    """Execute stops that the last trade has reached: buys before sells, the nearest first, until none is left."""
    while book.last and book.phase == CONTINUOUS:
        if book.count[BUY_STOP] and book.best[BUY_STOP] <= book.last:
            lane = BUY_STOP
        elif book.count[SELL_STOP] and book.best[SELL_STOP] >= book.last:
            lane = SELL_STOP
        else:
            break
        slot = book.levels[lane, book.best[lane] & (book.levels.shape[1] - 1)].head
        order = book.orders[slot]
        id_, size, side = book.resting[slot], order.size, lane & 1
        tell(book, TRIGGERED, slot, size, 0, 0)
        shrink(book, slot, size)
        match(book, id_, order.agent, side, any_price(side), size)


@inlined
def handle(book: Any, message: Any, result: Any) -> None:
    """Do what a message says."""
    result.id, result.filled = 0, 0
    kind, agent = message.kind, message.agent
    if agent < 0 or agent >= len(book.accounts):
        result.reason = BAD_AGENT
        return
    if kind >= CANCEL and kind <= REPLACE:
        reason = amend(book, message, result)
    elif kind >= LIMIT and kind <= STOP:
        reason = refusal(book, kind, agent, message.side, message.price, message.size)
        if reason == 0:
            enter(book, kind, agent, message.side, message.price, message.size, result)
    else:
        reason = BAD_KIND
    result.reason = reason
    if reason:
        account = book.accounts[agent]
        account.rejected += 1
        account.reason = reason
    elif book.count[BUY_STOP] or book.count[SELL_STOP]:
        trigger(book)


@called
def handle_all(book: Any, messages: NDArray[Any], results: NDArray[Any]) -> None:
    """Handle messages (K,) of one book."""
    for place in range(len(messages)):
        if messages[place].kind != 0:
            handle(book, messages[place], results[place])
