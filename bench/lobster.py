"""Whether order-book data survives: written as LOBSTER's files, read, and played through the engine again."""

from __future__ import annotations

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


def run(quick: bool) -> list[Row]:
    """Write, read, replay; ``quick`` with a hundredth of the messages."""
    count = 10_000 if quick else 1_000_000
    books = Books(RULES)
    books.process(recorded(RULES, COMMON_KINDS, count * 11 // 10, 7)[None])
    events = books.events(0, 0)[:count]
    with tempfile.TemporaryDirectory() as name:
        tape, depth = _through_files(Path(name), events)
    replay, wrong = Replay(Books(RULES.model_copy(update={"events": 4096}))), 0
    began = time.process_time()
    for row, book in zip(tape.tolist(), depth, strict=True):
        replay.play(row)
        wrong += not np.array_equal(replay.depth(LEVELS), book)
    speed = len(tape) / (time.process_time() - began)
    return [
        Row("messages", [float(len(tape))], "messages", f">= {count:,}", len(tape) >= count),
        Row(f"books that differ in {LEVELS} levels", [float(wrong)], "books", "0", wrong == 0),
        Row("replayed and compared, one call a message", [speed / 1e3], "k messages/CPU-s", "for information", True),
    ]


def _through_files(folder: Path, events: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    write_tape(folder / "messages.csv", tape_of(events, 34_200.0 + np.arange(len(events)) / 1_000.0))
    write_depth(folder / "orderbook.csv", depth_of(events, LEVELS, RULES))
    return read_tape(folder / "messages.csv"), read_depth(folder / "orderbook.csv")
