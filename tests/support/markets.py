"""A book that tests talk to one message at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from agora.market.messages import MESSAGE, Kind, Reason
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import Feed, Lane
from env_server.environments.market.book.rules import Rules

BUY, SELL = 0, 1


class Talk:
    """One book, by words."""

    def __init__(self, **rules: Any) -> None:
        self.books = Books(Rules(**{"accounts": 4, "prices": 256, "slots": 16, "events": 256, **rules}))
        self._fed = 0

    def say(
        self, kind: Kind, agent: int = 0, side: int = BUY, price: int = 0, size: int = 0, order: int = 0
    ) -> tuple[int, int, Reason]:
        """Send a message; returns the order's id, lots traded at once, and the reason."""
        message = np.array([[(kind, agent, side, price, size, order)]], MESSAGE)
        id_, filled, reason = self.books.process(message)[0, 0].tolist()
        return id_, filled, Reason(reason)

    def rest(self, agent: int, side: int, price: int, size: int) -> int:
        """Send a limit order that rests whole; returns its id."""
        id_, filled, reason = self.say(Kind.LIMIT, agent, side, price, size)
        assert (filled, reason) == (0, Reason.ACCEPTED)
        return id_

    def queue(self, lane: Lane, price: int) -> list[tuple[int, int]]:
        """Ids and sizes of the orders at a price, first the first to trade."""
        book = self.books.records[0]
        level = book["levels"][lane, price % book["levels"].shape[1]]
        found, slot, ahead = [], int(level["head"]), int(level["total"])
        while ahead > 0:
            order = book["orders"][slot]
            found.append((int(book["resting"][slot]), int(order["size"])))
            ahead, slot = ahead - int(order["size"]), int(order["next"])
        return found

    def trades(self) -> list[tuple[int, int, int, int]]:
        """Price, size, resting and incoming order of the trades since the last call."""
        events = self.books.events(0, self._fed)
        self._fed = int(self.books.records["fed"][0])
        done = events[(events["kind"] == Feed.EXECUTED) | (events["kind"] == Feed.CROSSED)]
        return [(int(e["price"]), int(e["size"]), int(e["id"]), int(e["other"])) for e in done]

    def account(self, agent: int) -> dict[str, Any]:
        """An agent's account."""
        row = self.books.records[0]["accounts"][agent]
        return {name: row[name].tolist() for name in row.dtype.names}

    @property
    def best(self) -> tuple[int | None, int | None]:
        """Best bid and ask."""
        book = self.books.records[0]
        bid, ask = (int(book["best"][lane]) if book["count"][lane] else None for lane in (Lane.BID, Lane.ASK))
        return bid, ask
