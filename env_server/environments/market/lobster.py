"""Order-book data in the format of LOBSTER: written from a book's feed, and replayed through the engine.

Two files without headers, row by row together (https://lobsterdata.com/info/DataStructure.php): messages (seconds
after midnight, type, order id, size, price, direction) and the book after each (ask price, ask size, bid price, bid
size, from the best level on). Prices are dollars times 10,000; a direction is that of the resting order, 1 buys and -1
sells.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from agora.compiling import cached
from agora.market.messages import MESSAGE, Kind
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

    Orders that rest before the first message have no ids: they are one order per price, and what happens to an unknown
    id happens to the one at its price. Executions come in as orders of the other side, so that they trade with whoever
    is first by then. Hidden executions and crosses change nothing: an uncross is the book's own.

    Attributes:
        books: one book; account ``agent`` owns all that is replayed, and self-trades must be allowed.
        agent: the account.
        tick: price units in a tick.
    """

    books: Books
    agent: int = 0
    tick: int = TICK

    def __post_init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._levels: dict[tuple[int, int], int] = {}
        self._message, self._result = np.zeros((1, 1), MESSAGE), np.zeros((1, 1), RESULT)

    def start(self, depth: Integers) -> None:
        """Rest what was there before the first message, int64 (levels, 4)."""
        for ask, asked, bid, wanted in depth.tolist():
            for side, price, size in ((1, ask, asked), (0, bid, wanted)):
                if size:
                    self._levels[side, price] = self._say(Kind.LIMIT, side, price, size)

    def play(self, row: tuple[float, int, int, int, int, int]) -> None:
        """Do what a message says, a row of TAPE.

        Raises:
            ValueError: its price is between ticks, or not on the ladder.
        """
        _, kind, id_, size, price, direction = row
        side = 0 if direction > 0 else 1
        if kind == REST:
            self._ids[id_] = self._say(Kind.LIMIT, side, price, size)
        elif kind in (REDUCE, DELETE):
            order = self._ids.get(id_) or self._levels.get((side, price), 0)
            self._say(Kind.REDUCE, side, price, size, order)
        elif kind == EXECUTE:
            self._say(Kind.IOC, 1 - side, price, size)
        elif kind == HALT:
            self.books.turn(PHASES[price])

    def depth(self, levels: int) -> Integers:
        """The book now, int64 (levels, 4), as in a file."""
        shown = np.zeros((levels, 4), np.int64)
        shown[:, 0], shown[:, 2] = NO_ASK, -NO_ASK
        compiled().depth(self.books.records, self.tick, shown[None])
        return shown

    def _say(self, kind: Kind, side: int, price: int, size: int, order: int = 0) -> int:
        ticks, rest = divmod(price, self.tick)
        base, prices = int(self.books.records["base"][0]), self.books.rules.prices
        if rest or not base <= ticks < base + prices:
            ladder = f"a multiple of {self.tick} from {base * self.tick} to {(base + prices - 1) * self.tick}"
            raise ValueError(f"price: expected {ladder}, got {price}")
        self._message[0, 0] = (kind, self.agent, side, ticks, size, order)
        compiled().process(self.books.records, self._message, self._result)
        return int(self._result[0, 0]["id"])
