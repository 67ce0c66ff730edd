"""Other engines on the messages that all of them have: limit orders, market orders, cancels."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agora.market.messages import MESSAGE, Kind
from bench.books.streams import COMMON_KINDS, WIDTH, draw, seed_draws, shares
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import Feed, SelfTrade
from env_server.environments.market.book.rules import Rules

CHUNK: Final = 16
RULES: Final = Rules(accounts=256, self_trade=SelfTrade.ALLOWED, slots=4096)
"""With room for whatever comes: others' books are never full."""
SHARED: Final = {kind: COMMON_KINDS[kind] for kind in (Kind.LIMIT, Kind.MARKET, Kind.CANCEL)}


def shared_stream(count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Messages of the kinds that all engines have.

    Returns:
        messages MESSAGE (count,), the ids (count,) of the orders that they made, and our trades, EVENT (trades,).
    """
    seed_draws(seed)
    books, asked, made, trades = Books(RULES), [], [], []
    for _ in range(count // CHUNK):
        messages = np.zeros((1, CHUNK), MESSAGE)
        fed = int(books.records["fed"][0])
        draw(books.records[0], messages[0], shares(SHARED), WIDTH, 300, 0.0)
        made.append(books.process(messages)["id"][0])
        events = books.events(0, fed)
        trades.append(events[events["kind"] == Feed.EXECUTED])
        asked.append(messages[0])
    return np.concatenate(asked), np.concatenate(made), np.concatenate(trades)


def against_bourse(count: int) -> int:
    """Trades that differ between bourse's and ours: price, size, side, resting and incoming order."""
    from bourse.core import OrderBook

    messages, made, ours = shared_stream(count, 5)
    theirs: dict[int, int] = {}
    book, mine = OrderBook(0, 1, True), []
    for now, (message, id_) in enumerate(zip(messages.tolist(), made.tolist(), strict=True)):
        kind, agent, side, price, size, target = message
        book.set_time(now)  # bourse's priority is by time
        if kind == Kind.CANCEL:
            if target in theirs:
                book.cancel_order(theirs[target])
            continue
        theirs[id_] = book.place_order(side == 0, size, agent, price=None if kind == Kind.MARKET else price)
        mine.append(id_)
    found = [(side, price, size, mine[taker], mine[maker]) for _, side, price, size, taker, maker in book.get_trades()]
    wanted = [(e["lane"] == 0, int(e["price"]), int(e["size"]), int(e["other"]), int(e["id"])) for e in ours]
    differ = sum(a != b for a, b in zip(found, wanted, strict=False))
    return differ + abs(len(found) - len(wanted))


def bourse_speed(messages: NDArray[Any], made: NDArray[np.int64]) -> float:
    """Bourse's messages per CPU second, one call each."""
    from bourse.core import OrderBook

    theirs: dict[int, int] = {}
    book, rows = OrderBook(0, 1, True), list(zip(messages.tolist(), made.tolist(), strict=False))
    began = time.process_time()
    for now, ((kind, agent, side, price, size, target), id_) in enumerate(rows):
        book.set_time(now)
        if kind == Kind.CANCEL:
            if target in theirs:
                book.cancel_order(theirs[target])
        else:
            theirs[id_] = book.place_order(side == 0, size, agent, price=None if kind == Kind.MARKET else price)
    return len(rows) / (time.process_time() - began)
