"""Whether order-book data survives: written as LOBSTER's files, read, and played through the engine again.

Real files are not part of this project: ``AGORA_LOBSTER=FOLDER`` names a folder with one day's ``*message*.csv`` and
``*orderbook*.csv``. They are replayed with each row's book, which rests what comes into view, and without.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.books.streams import COMMON_KINDS, recorded
from bench.report import Row
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import SelfTrade
from env_server.environments.market.book.rules import Rules
from env_server.environments.market.lobster import (
    EXECUTE,
    TICK,
    Replay,
    depth_of,
    read_depth,
    read_tape,
    tape_of,
    write_depth,
    write_tape,
)

TITLE = "LOBSTER files: what was written plays back to the same book"

RULES: Final = Rules(accounts=64, events=2**22, self_trade=SelfTrade.ALLOWED)
LEVELS: Final = 10
FOLDER: Final = "AGORA_LOBSTER"
MOST_PRICES: Final = 2**16


def run(quick: bool) -> list[Row]:
    """Write, read, replay; ``quick`` with a hundredth of the messages."""
    count = 10_000 if quick else 1_000_000
    books = Books(RULES)
    books.process(recorded(RULES, COMMON_KINDS, count * 11 // 10, 7)[None])
    events = books.events(0, 0)[:count]
    with tempfile.TemporaryDirectory() as name:
        tape, depth = _through_files(Path(name), events)
    began = time.process_time()
    wrong = _differ(Replay(Books(RULES.model_copy(update={"events": 4096}))), tape, depth, given=False)
    speed = len(tape) / (time.process_time() - began)
    return [
        Row("messages", [float(len(tape))], "messages", f">= {count:,}", len(tape) >= count),
        Row(f"books that differ in {LEVELS} levels", [float(wrong)], "books", "0", wrong == 0),
        Row("replayed and compared, one call a message", [speed / 1e3], "k messages/CPU-s", "for information", True),
        *_real(),
    ]


def _real() -> list[Row]:
    """What becomes of real files, if there are some."""
    name = "real files: books that differ, with each row's book"
    if FOLDER not in os.environ:
        return [Row.missing(name, "0", f"{FOLDER}=FOLDER brings files")]
    wrong, blind, books = real(Path(os.environ[FOLDER]))
    return [
        Row(name, [float(wrong)], "books", f"0 of {books}", books > 0 and wrong == 0),
        Row("real files: books that differ, with messages alone", [float(blind)], "books", "for information", True),
    ]


def real(folder: Path) -> tuple[int, int, int]:
    """Replay a folder's files from their first book on: books that differ, the same with messages alone, and books.

    Raises:
        ValueError: there is not one file of each kind, or they are no such files.
        OSError: a file cannot be read.
    """
    tape, depth = read_tape(_only(folder, "message")), read_depth(_only(folder, "orderbook"))
    prices = np.concatenate([tape["price"][tape["type"] <= EXECUTE], depth[:, :, ::2][depth[:, :, 1::2] > 0]])
    base = max(1, int(prices.min()) // TICK - 1)
    room = min(MOST_PRICES, 1 << (int(prices.max()) // TICK - base + 1).bit_length())
    rules = RULES.model_copy(update={"base": base, "prices": room, "slots": 2**15, "events": 4096})
    wrong = []
    for given in (True, False):
        replay = Replay(Books(rules))
        replay.start(depth[0])
        wrong.append(_differ(replay, tape[1:], depth[1:], given=given))
    return wrong[0], wrong[1], len(depth) - 1


def _only(folder: Path, kind: str) -> Path:
    found = sorted(folder.glob(f"*{kind}*.csv"))
    if len(found) != 1:
        raise ValueError(f"{folder}: expected one *{kind}*.csv, got {len(found)}")
    return found[0]


def _differ(replay: Replay, tape: NDArray[Any], depth: NDArray[np.int64], *, given: bool) -> int:
    """After how many messages the book differs; ``given`` the file's book of each row."""
    wrong, levels = 0, depth.shape[1]
    for row, book in zip(tape.tolist(), depth, strict=True):
        replay.play(row, book if given else None)
        wrong += not np.array_equal(replay.depth(levels), book)
    return wrong


def _through_files(folder: Path, events: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    write_tape(folder / "messages.csv", tape_of(events, 34_200.0 + np.arange(len(events)) / 1_000.0))
    write_depth(folder / "orderbook.csv", depth_of(events, LEVELS, RULES))
    return read_tape(folder / "messages.csv"), read_depth(folder / "orderbook.csv")
