"""Order-book data in the format of LOBSTER: written from a book's feed, and replayed through the engine.

Two files without headers, row by row together (https://lobsterdata.com/info/DataStructure.php): messages (seconds
after midnight, type, order id, size, price, direction) and the book after each (ask price, ask size, bid price, bid
size, from the best level on). Prices are dollars times 10,000; a direction is that of the resting order, 1 buys and -1
sells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from agora.compiling import cached
from agora.market.messages import MAX_SIZE, MESSAGE, Kind, Reason
from env_server.environments.market.book.books import Books, compiled
from env_server.environments.market.book.records import RESULT, Lane, Phase
from env_server.environments.market.book.rules import Rules

Integers = NDArray[np.int64]

TAPE: Final = np.dtype(
    [("time", "f8"), ("type", "i8"), ("id", "i8"), ("size", "i8"), ("price", "i8"), ("direction", "i8")]
)
"""A message."""
NO_ASK: Final = 9_999_999_999
"""Price of a level that is not there; of bids its negative. Its size is 0."""
REST, REDUCE, DELETE, EXECUTE, HIDDEN, CROSS, HALT = range(1, 8)
PHASES: Final = {-1: Phase.HALTED, 0: Phase.AUCTION, 1: Phase.CONTINUOUS}
"""Prices of a halt message: trading halts, quoting resumes, trading resumes."""
TICK: Final = 100
"""LOBSTER's price units in a tick of one cent."""


def read_tape(path: Path) -> NDArray[Any]:
    """The messages of a file, TAPE (K,).

    Raises:
        ValueError: a row is not such a message.
        OSError: the file cannot be read.
    """
    kinds = [pa.float64()] + [pa.int64()] * 5
    names = list(TAPE.names or ())
    table = _read(path, names, dict(zip(names, kinds, strict=True)))
    tape = np.zeros(table.num_rows, TAPE)
    for name in names:
        tape[name] = table[name].to_numpy()
    wrong = np.flatnonzero((tape["type"] < REST) | (tape["type"] > HALT))
    if len(wrong):
        raise ValueError(f"{path}: row {wrong[0] + 1}: type: expected 1 to 7, got {tape['type'][wrong[0]]}")
    return tape


def read_depth(path: Path) -> Integers:
    """The books of a file, int64 (K, levels, 4): ask price, ask size, bid price, bid size.

    Raises:
        ValueError: rows are not whole numbers, or not four of them per level.
        OSError: the file cannot be read.
    """
    with path.open() as file:
        columns = len(file.readline().split(","))
    if columns % 4:
        raise ValueError(f"{path}: expected four columns per level, got {columns}")
    names = [str(number) for number in range(columns)]
    table = _read(path, names, dict.fromkeys(names, pa.int64()))
    return np.stack([column.to_numpy() for column in table.columns], axis=1).reshape(table.num_rows, -1, 4)


def _read(path: Path, names: list[str], types: dict[str, pa.DataType]) -> pa.Table:
    try:
        return csv.read_csv(
            path,
            read_options=csv.ReadOptions(column_names=names),
            convert_options=csv.ConvertOptions(column_types=types),
        )
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path}: expected LOBSTER's columns: {error}") from error


def write_tape(path: Path, tape: NDArray[Any]) -> None:
    """Write messages, TAPE (K,)."""
    _write(path, [tape[name] for name in TAPE.names or ()])


def write_depth(path: Path, depth: Integers) -> None:
    """Write books, int64 (K, levels, 4)."""
    _write(path, list(depth.reshape(len(depth), -1).T))


def _write(path: Path, columns: list[NDArray[Any]]) -> None:
    table = pa.table({str(number): np.ascontiguousarray(column) for number, column in enumerate(columns)})
    csv.write_csv(table, path, csv.WriteOptions(include_header=False))


def tape_of(events: NDArray[Any], seconds: NDArray[np.float64], tick: int = TICK) -> NDArray[Any]:
    """A book's events of continuous trading as messages; stops are nobody's to see.

    Args:
        events: EVENT (E,).
        seconds: (E,), times of the events.
        tick: price units in a tick.

    Returns:
        TAPE (K,), K <= E.
    """
    seen = _visible(events)
    shown = events[seen]
    tape = np.zeros(len(shown), TAPE)
    tape["time"], tape["type"] = seconds[seen], shown["kind"]
    for name in ("id", "size"):
        tape[name] = shown[name]
    tape["price"], tape["direction"] = shown["price"].astype(np.int64) * tick, 1 - 2 * shown["lane"].astype(np.int64)
    return tape


def _visible(events: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(events["lane"] <= Lane.ASK)


def depth_of(events: NDArray[Any], levels: int, rules: Rules, tick: int = TICK) -> Integers:
    """The book after each message of ``tape_of(events)``, from an empty one on.

    Args:
        events: EVENT (E,), all that ever happened to the book; its ladder may not have moved.
        levels: to show.
        rules: of the book.
        tick: price units in a tick.

    Returns:
        int64 (K, levels, 4): ask price, ask size, bid price, bid size.
    """
    shown = events[_visible(events)]
    depth = np.zeros((len(shown), levels, 4), np.int64)
    depth[:, :, 0], depth[:, :, 2] = NO_ASK, -NO_ASK
    _accumulate(shown, np.zeros((2, rules.prices + 2), np.int64), rules.base - 1, tick, depth)
    return depth


@cached()
def _accumulate(events: Any, totals: Integers, below: int, tick: int, depth: Integers) -> None:
    """Keep totals (2, prices) by event, and write the best levels after each."""
    best = np.array([0, totals.shape[1] - 1])
    for row in range(len(events)):
        lane, at = events[row].lane, events[row].price - below
        sign = 1 if events[row].kind == REST else -1
        totals[lane, at] += sign * events[row].size
        worse = 1 if lane == 1 else -1
        if sign > 0 and (at - best[lane]) * worse < 0:
            best[lane] = at
        while totals[lane, best[lane]] == 0 and 0 < best[lane] < totals.shape[1] - 1:
            best[lane] += worse
        for side in range(2):
            step, at, level = (1 if side == 1 else -1), best[side], 0
            while 0 < at < totals.shape[1] - 1 and level < depth.shape[1]:
                if totals[side, at]:
                    depth[row, level, 2 - 2 * side] = (at + below) * tick
                    depth[row, level, 3 - 2 * side] = totals[side, at]
                    level += 1
                at += step


@dataclass
class Replay:
    """Messages from a file, played through a book in which others may act too.

    A file's messages are only those of the levels that its books have. So ``play`` also takes the book after each
    message, and what it shows at prices that the book before did not reach comes into view: lots that are missing there
    rest, and lots that are gone are taken away. What was in view before changes by messages alone, so that what others
    did to it stays done. After crosses and halts all that is in view counts as coming into view. Without books, orders
    outside the levels are missed.

    Of orders that came into view nobody knows the ids: what happens to an id that may be one of them happens to the
    first of them at its price. Executions come in as orders of the other side, so that they trade with whoever is first
    by then; while trading is halted they only take away the order that they name. Hidden executions change nothing. A
    cross ends an auction with the book's own uncross.

    Attributes:
        books: one book; account ``agent`` owns all that is replayed, and self-trades must be allowed.
        agent: the account.
        tick: price units in a tick.
        appeared: lots that rested because they came into view, those of the start too.
        vanished: lots that were found gone when their price came into view.
    """

    books: Books
    agent: int = 0
    tick: int = TICK
    appeared: int = field(default=0, init=False)
    vanished: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        base, prices = int(self.books.records["base"][0]), self.books.rules.prices
        self._ladder = range(base, base + prices)
        self._edges = [base + prices, base - 1]
        self._ids: dict[int, int] = {}
        self._strangers: dict[tuple[int, int], list[int]] = {}
        self._doubtful: set[int] = set()
        self._message, self._result = np.zeros((1, 1), MESSAGE), np.zeros((1, 1), RESULT)

    def start(self, depth: Integers) -> None:
        """Rest what was there before the first message, int64 (levels, 4).

        Raises:
            ValueError: as ``play`` says.
        """
        self._look(depth, anew=True)

    def play(self, row: tuple[float, int, int, int, int, int], book: Integers | None = None) -> None:
        """Do what a message says, a row of TAPE, and take in what the book after it, int64 (levels, 4), brings in view.

        Raises:
            ValueError: a price is between ticks, or not on the ladder; a halt has another price than -1, 0 or 1; or the
                book refuses an order.
        """
        _, kind, id_, size, price, direction = row
        side, trading = 0 if direction > 0 else 1, self.books.records["phase"][0] == Phase.CONTINUOUS
        if kind == REST:
            self._ids[id_] = self._rest(side, self._ticks(price), size)
        elif kind == EXECUTE and trading:
            self._say(Kind.IOC, 1 - side, self._ticks(price), size)
        elif kind in (REDUCE, DELETE, EXECUTE):
            self._take(id_, side, self._ticks(price), size)
        elif kind == HALT:
            self._turn(price)
        elif kind == CROSS and self.books.records["phase"][0] == Phase.AUCTION:
            self.books.turn(Phase.CONTINUOUS)
        if book is not None:
            self._look(book, anew=kind in (CROSS, HALT))

    def depth(self, levels: int) -> Integers:
        """The book now, int64 (levels, 4), as in a file."""
        shown = np.zeros((levels, 4), np.int64)
        shown[:, 0], shown[:, 2] = NO_ASK, -NO_ASK
        compiled().depth(self.books.records, self.tick, shown[None])
        return shown

    def _turn(self, price: int) -> None:
        if price not in PHASES:
            raise ValueError(f"price of a halt: expected -1, 0 or 1, got {price}")
        self.books.turn(PHASES[price])

    def _take(self, id_: int, side: int, price: int, size: int) -> None:
        """Take lots off the order with a file's id; off strangers at its price, where it may be one of them."""
        own, strangers = self._ids.get(id_, 0), self._strangers.get((side, price), [])
        for order in [own] if own and own not in self._doubtful else [own, *strangers]:
            size -= self._reduce(order, size)

    def _reduce(self, order: int, size: int) -> int:
        """Take at most so many lots off an order; returns how many."""
        record = self.books.records[0]
        slot = order % len(record["orders"])
        if not order or not size or record["resting"][slot] != order:
            return 0
        taken = min(size, int(record["orders"][slot]["size"]))
        self._say(Kind.REDUCE, 0, 0, taken, order)
        return taken

    def _look(self, book: Integers, *, anew: bool) -> None:
        """Rest what comes into view, on both sides after what is gone has left, lest they trade."""
        missing = [self._compare(side, book[:, 2 - 2 * side : 4 - 2 * side], anew) for side in range(2)]
        for side, lots in enumerate(missing):
            for price, size in lots.items():
                self.appeared += size
                for first in range(0, size, MAX_SIZE):
                    order = self._rest(side, price, min(MAX_SIZE, size - first))
                    self._strangers[side, price].append(order)

    def _compare(self, side: int, shown: Integers, anew: bool) -> dict[int, int]:
        """Take away what is gone where a side, (levels, 2), comes into view; returns the lots missing there."""
        ladder, edge, missing = self._ladder, self._edges[side], dict[int, int]()
        if shown[-1, 1]:
            self._edges[side] = self._ticks(int(shown[-1, 0]))
        else:  # All there is.
            self._edges[side] = ladder[-1] if side else ladder[0]
        if anew:
            edge = ladder[0] - 1 if side else ladder[-1] + 1
        news = range(edge + 1, self._edges[side] + 1) if side else range(self._edges[side], edge)
        if not news:
            return missing
        lots = {self._ticks(price): size for price, size in shown.tolist() if size}
        for price in self._occupied(side, news) | {price for price in lots if price in news}:
            missing[price] = self._recognise(side, price, lots.get(price, 0))
        return missing

    def _occupied(self, side: int, prices: range) -> set[int]:
        """At which of these prices anybody's orders rest."""
        levels, ticks = self.books.records[0]["levels"][side], np.arange(prices.start, prices.stop)
        return set(ticks[levels["total"][ticks % len(levels)] > 0].tolist())

    def _recognise(self, side: int, price: int, size: int) -> int:
        """Make all that is replayed at a price strangers, and take away the last of it; returns the lots missing."""
        orders = self._queue(side, price)
        self._strangers[side, price] = [order for order, _ in orders]
        self._doubtful.update(self._strangers[side, price])
        more = size - sum(lots for _, lots in orders)
        for order, _ in reversed(orders):
            taken = self._reduce(order, max(0, -more))
            self.vanished += taken
            more += taken
        return more

    def _queue(self, side: int, price: int) -> list[tuple[int, int]]:
        """Ids and lots of what is replayed at a price, first the first to trade."""
        record = self.books.records[0]
        level = record["levels"][side, price % record["levels"].shape[1]]
        slot, left, found = int(level["head"]), int(level["total"]), []
        while left > 0:
            order = record["orders"][slot]
            if order["agent"] == self.agent:
                found.append((int(record["resting"][slot]), int(order["size"])))
            left, slot = left - int(order["size"]), int(order["next"])
        return found

    def _ticks(self, price: int) -> int:
        """A price of a file on the ladder, or a ValueError."""
        ticks, rest = divmod(price, self.tick)
        if rest or ticks not in self._ladder:
            first, last = self._ladder[0] * self.tick, self._ladder[-1] * self.tick
            raise ValueError(f"price: expected a multiple of {self.tick} from {first} to {last}, got {price}")
        return ticks

    def _rest(self, side: int, price: int, size: int) -> int:
        """Send a limit order, which a file has even while trading is halted; returns its id."""
        phase = self.books.records["phase"]
        before = int(phase[0])
        if before != Phase.CONTINUOUS:
            phase[0] = Phase.AUCTION
        order = self._say(Kind.LIMIT, side, price, size)
        phase[0] = before
        return order

    def _say(self, kind: Kind, side: int, price: int, size: int, order: int = 0) -> int:
        self._message[0, 0] = (kind, self.agent, side, price, size, order)
        compiled().process(self.books.records, self._message, self._result)
        id_, _, reason = self._result[0, 0].tolist()
        if reason:
            at = f"{size} lots at {price * self.tick}"
            raise ValueError(f"order of {at}: the book refuses it: {Reason(reason).name.lower().replace('_', ' ')}")
        return int(id_)
