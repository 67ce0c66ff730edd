"""What a book shows: price levels from the front on."""

from __future__ import annotations

from typing import Any

from env_server.environments.market.book.queues import inlined, level_of, onward


@inlined
def levels(book: Any, lane: int, prices: Any, sizes: Any) -> int:
    """Write the best prices of a lane and the lots there, (depth,) each; returns how many there are."""
    left, price, found = book.count[lane], book.best[lane], 0
    depth, top = len(prices), book.base + book.levels.shape[1]
    while left > 0 and found < depth and book.base <= price < top:
        total = level_of(book, lane, price).total
        if total > 0:
            prices[found], sizes[found] = price, total
            found += 1
        price += onward(lane)
    return found
