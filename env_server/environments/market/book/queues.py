"""Queues of resting orders: joining, leaving, and where the front is."""

from __future__ import annotations

from typing import Any, Final

from numba import njit

from env_server.environments.market.book.records import Feed

OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "nogil": True}
inlined = njit(forceinline=True, **OPTIONS)
"""Into the caller, before types are known: a quarter faster than what LLVM does of itself."""
called = njit(inline="never", **OPTIONS)
"""For what is rare: it would only make the hot path longer."""

RESTED, REDUCED, DELETED = int(Feed.RESTED), int(Feed.REDUCED), int(Feed.DELETED)


@inlined
def tell(book: Any, kind: int, slot: int, size: int, other: int, other_agent: int) -> None:
    """Add an event about a resting order to the feed."""
    order = book.orders[slot]
    event = book.feed[book.fed & (len(book.feed) - 1)]
    event.id, event.agent, event.lane, event.price = book.resting[slot], order.agent, order.lane, order.price
    event.kind, event.size, event.other, event.other_agent = kind, size, other, other_agent
    event.time = book.time
    book.fed += 1


@inlined
def onward(lane: int) -> int:
    """Direction in which prices get worse: up for asks and buy stops, down for bids and sell stops."""
    return (2 * (lane & 1) - 1) * (1 - (lane & 2))


@inlined
def level_of(book: Any, lane: int, price: int) -> Any:
    """The queue at a price of the ladder."""
    return book.levels[lane, price & (book.levels.shape[1] - 1)]


@inlined
def advance(book: Any, lane: int) -> None:
    """Move the front to the next price with orders, if there is one."""
    if book.count[lane]:
        price, step = book.best[lane], onward(lane)
        while level_of(book, lane, price).total == 0:
            price += step
        book.best[lane] = price


@inlined
def rest(book: Any, id_: int, agent: int, lane: int, price: int, size: int, kind: int) -> None:
    """Put an order at the end of its queue; its slot must be free."""
    slot = id_ & (len(book.orders) - 1)
    order = book.orders[slot]
    book.resting[slot] = id_
    order.agent, order.lane, order.price, order.size, order.kind = agent, lane, price, size, kind
    level = level_of(book, lane, price)
    if book.count[lane] == 0 or (price - book.best[lane]) * onward(lane) < 0:
        book.best[lane] = price
    # Without branches on what the queue is like: it is rarely in the cache, and nobody could predict it.
    head, before, lots = level.head, level.tail, level.total
    if lots == 0:
        head, before = slot, slot
    book.orders[before].next, order.prev = slot, before
    level.head, level.tail, level.total = head, slot, lots + size
    book.count[lane] += 1
    book.queues[lane] += lots == 0
    book.live += 1
    book.accounts[agent].open[lane & 1] += size
    tell(book, RESTED, slot, size, 0, 0)


@inlined
def shrink(book: Any, slot: int, size: int) -> None:
    """Take lots off a resting order; with its last one it leaves the queue. The caller tells the feed."""
    order = book.orders[slot]
    lane = order.lane
    level = level_of(book, lane, order.price)
    level.total -= size
    order.size -= size
    book.accounts[order.agent].open[lane & 1] -= size
    if order.size:
        return
    book.resting[slot] = 0
    book.count[lane] -= 1
    book.queues[lane] -= level.total == 0
    book.live -= 1
    head, tail, before, after = level.head, level.tail, order.prev, order.next
    first, last = head == slot, tail == slot
    before, after = slot if first else before, slot if last else after
    book.orders[before].next, book.orders[after].prev = after, before
    level.head, level.tail = after if first else head, before if last else tail
    if order.price == book.best[lane] and level.total == 0:
        advance(book, lane)


@inlined
def delete(book: Any, slot: int) -> None:
    """Cancel a resting order."""
    size = book.orders[slot].size
    tell(book, DELETED, slot, size, 0, 0)
    shrink(book, slot, size)
