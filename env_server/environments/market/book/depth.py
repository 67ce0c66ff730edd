"""What a book shows: price levels from the front on."""

from __future__ import annotations

from typing import Any

from env_server.environments.market.book.queues import inlined, level_of, onward


@inlined
def levels(book: Any, lane: int, prices: Any, sizes: Any) -> int:
    """Write the best prices of a lane and the lots there, (depth,) each; returns how many there are."""
    price, found = book.best[lane], 0
    depth, top = min(len(prices), book.queues[lane]), book.base + book.levels.shape[1]
    while found < depth and book.base <= price < top:
        level = level_of(book, lane, price)
        if level.total > 0:
            prices[found], sizes[found] = price, level.total
            found += 1
        price += onward(lane)
    return found


@inlined
def write_levels(book: Any, unit: int, shown: Any, prices: Any, sizes: Any) -> None:
    """Write ask price, ask size, bid price and bid size of the best levels, int64 (depth, 4); the rest is left.

    Args:
        book: one book.
        unit: of prices, per tick.
        shown: written.
        prices: int64 (depth,), scratch.
        sizes: int64 (depth,), scratch.
    """
    for side in range(2):
        for level in range(levels(book, side, prices, sizes)):
            shown[level, 2 - 2 * side] = prices[level] * unit
            shown[level, 3 - 2 * side] = sizes[level]
