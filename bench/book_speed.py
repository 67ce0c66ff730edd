"""How fast orders are matched, with cash, shares and fees settled, and how fast others do it.

One stream of random messages (half of them limit orders, about 300 orders resting) is recorded once, and every engine
plays it from an empty book. Speeds are messages per CPU second of one thread. bourse, order-matching and
lightmatchingengine play what all engines have, limit orders, market orders and cancels, one call a message, as their
users do; ``make peers PEERS=engines`` builds the last two; who is not there is not measured.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from agora.market.messages import MESSAGE
from bench.asked import ROOT
from bench.books import peers
from bench.books.streams import COMMON_KINDS, recorded
from bench.report import Row
from env_server.environments.market.book.books import Books, compiled
from env_server.environments.market.book.oracle import Oracle
from env_server.environments.market.book.queues import OPTIONS
from env_server.environments.market.book.records import RESULT
from env_server.environments.market.book.rules import Rules
from env_server.environments.market.config import Crowd, MarketConfig
from env_server.environments.market.state import opened
from env_server.environments.market.step import arrive, send

TITLE = "matching is fast: messages per CPU second, beside other engines"
ALSO = ("bench/peer_programs/match_orders.py", "bench/peers/engines.txt")

RULES: Final = Rules(accounts=256, maker_fee=-20, taker_fee=30, events=1024)
BOOKS: Final = 256
PART: Final = 64
"""Messages of one book before the next one's turn."""
DELAY: Final = 5
TARGET, DELAYED_TARGET = 20e6, 3e6
REPEATS: Final = 7
PROGRAM: Final = ROOT / "bench" / "peer_programs" / "match_orders.py"
PEERS: Final = {"lightmatchingengine": 100_000, "order-matching": 3_000}
"""Messages that they are given, in about a minute."""


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of some work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_book(stream: NDArray[Any]) -> float:
    """Messages per CPU second in one call."""
    books, results = Books(RULES), np.zeros((1, len(stream)), RESULT)
    return len(stream) / seconds(lambda: compiled().process(books.records, stream[None], results))


def many_books(stream: NDArray[Any]) -> float:
    """Messages per CPU second of many books in turns."""
    books, count = Books(RULES, BOOKS), len(stream) // PART
    parts = [np.repeat(stream[None, k * PART : (k + 1) * PART], BOOKS, axis=0) for k in range(count)]
    results = np.zeros((BOOKS, PART), RESULT)

    def work() -> None:
        for part in parts:
            compiled().process(books.records, part, results)

    return count * PART * BOOKS / seconds(work)


@njit(**OPTIONS)
def play_delayed(market: Any, messages: NDArray[Any], per_step: int) -> None:
    """Send messages of one agent after another, a few per step; each arrives after its agent's delay."""
    for place in range(len(messages)):
        if place % per_step == 0:
            market.step += 1
            arrive(market)
        market.messages[0] = messages[place]
        send(market, messages[place].agent, 1)


def delayed(stream: NDArray[Any]) -> float:
    """Messages per CPU second that wait before they arrive."""
    config = MarketConfig(crowd=(Crowd(style="noise", count=255, latency=DELAY),), worth={"mean": 512.0}, latency=DELAY)
    market = opened(config, 1)
    market["book"]["base"] = RULES.base
    market["book"]["accounts"]["limit"] = 2**40
    return len(stream) / seconds(lambda: play_delayed(market[0], stream, 20))


def oracle(stream: NDArray[Any]) -> float:
    """Messages per CPU second of the pure-Python engine."""
    engine, fields = Oracle(RULES), ("kind", "agent", "side", "price", "size", "id")
    rows = stream[list(fields)].tolist()

    def work() -> None:
        for row in rows:
            engine.handle(*row)

    return len(rows) / seconds(work)


def peer(name: str, messages: NDArray[Any], made: NDArray[np.int64]) -> float | None:
    """Messages per CPU second of an engine in its own environment; None: it is not there."""
    python, count = ROOT / ".peers" / "engines" / "bin" / "python", PEERS[name]
    if not python.exists():
        return None
    rows = np.zeros(len(messages), np.dtype([*MESSAGE.descr, ("made", "i8")]))
    for field in MESSAGE.names or ():
        rows[field] = messages[field]
    rows["made"] = made
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.npy"
        np.save(path, rows)
        command = [str(python), str(PROGRAM), str(path), name, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return count / float(json.loads(done.stdout)["seconds"])


def run(quick: bool) -> list[Row]:
    """Time everything; ``quick`` with a tenth of the messages."""
    count = 100_000 if quick else 1_000_000
    stream, repeats = recorded(RULES, COMMON_KINDS, count, 3), 3 if quick else REPEATS
    short = stream[: count // 50]
    for warm in (one_book, many_books, delayed):
        warm(stream[:1024])
    ours = [one_book(stream) for _ in range(repeats)]
    rows = [
        _speed("one book, full accounting", ours, TARGET),
        _speed(f"{BOOKS} books in turns of {PART} messages", [many_books(short) for _ in range(repeats)], TARGET),
        _speed(f"one book, all messages {DELAY} steps late", [delayed(stream) for _ in range(repeats)], DELAYED_TARGET),
        _speed("the oracle in plain Python", [oracle(stream[: count // 20])], None),
    ]
    messages, made, _ = peers.shared_stream(count, 5)
    same = [_shared(messages) for _ in range(repeats)]
    rows.append(_speed("one book, the peers' messages", same, None))
    speeds = {"bourse": peers.bourse_speed(messages[: count // 4], made)}
    for name in PEERS:
        found = peer(name, messages, made)
        if found is None:
            rows.append(Row.missing(f"ours over {name}", "above 1", "not there; make peers PEERS=engines builds it"))
        else:
            speeds[name] = found
    for name, speed in speeds.items():
        rows.append(_speed(name, [speed], None))
        rows.append(Row(f"ours over {name}", [value / speed for value in same], "x", "above 1", min(same) > speed))
    return rows


def _shared(messages: NDArray[Any]) -> float:
    books, results = Books(peers.RULES), np.zeros((1, len(messages)), RESULT)
    return len(messages) / seconds(lambda: compiled().process(books.records, messages[None], results))


def _speed(name: str, values: list[float], target: float | None) -> Row:
    median = float(np.median(values))
    wanted = "for information" if target is None else f">= {target / 1e6:g} M"
    return Row(name, [value / 1e6 for value in values], "M messages/CPU-s", wanted, target is None or median >= target)
