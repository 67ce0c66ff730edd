"""The book's invariants hold on random messages, and the checks of them see what is broken."""

from __future__ import annotations

import numpy as np
import pytest

from agora.market.messages import MESSAGE
from bench import book_invariants
from bench.books import peers
from bench.books.invariants import ACCOUNTED, CONSERVED, LINKED, NAMES, UNCROSSED, check_book, check_message
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import RESULT, SelfTrade
from tests.support.markets import BUY, SELL, Talk


@pytest.mark.parametrize("mode", SelfTrade)
def test_invariants_hold(mode: SelfTrade) -> None:
    assert not book_invariants.violations(100_000, mode, int(mode)).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_oracle_writes_the_same_tape(seed: int) -> None:
    assert book_invariants.against_oracle(10_000, seed) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_mirrored_market_writes_the_mirrored_tape(seed: int) -> None:
    assert book_invariants.mirrored(50_000, seed) == 0


@pytest.mark.parametrize("seed", range(4))
def test_snapshots_and_batches_change_nothing(seed: int) -> None:
    assert book_invariants.repeated(50_000, seed) == (0, 0)


def test_bourse_trades_the_same() -> None:
    pytest.importorskip("bourse")
    assert peers.against_bourse(20_000) == 0


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("cash", CONSERVED),
        ("shares", CONSERVED),
        ("total", LINKED),
        ("open", LINKED),
        ("queues", LINKED),
        ("best", UNCROSSED),
    ],
)
def test_the_checks_see_damage(damage: str, seen: int) -> None:
    talk = Talk()
    talk.rest(0, BUY, 100, 5)
    talk.rest(1, SELL, 110, 5)
    book, broken = talk.books.records[0], np.zeros(len(NAMES), np.int64)
    if damage in ("cash", "shares"):
        book["accounts"][0][damage] += 1
    elif damage == "open":
        book["accounts"][0]["open"][0] += 1
    elif damage == "total":
        book["levels"][0, 100]["total"] += 1
    elif damage == "queues":
        book["queues"][0] += 1
    else:
        book["best"][0] = 110
    check_message(book, np.zeros(1, MESSAGE)[0], np.zeros(1, RESULT)[0], int(book["fed"]), broken)
    check_book(book, np.zeros(2, np.int64), 0, broken)

    assert broken[seen] > 0


def test_lots_that_vanish_are_seen() -> None:
    book, broken = Books(Talk().books.rules).records[0], np.zeros(len(NAMES), np.int64)
    check_book(book, np.array([5, 0]), 0, broken)
    assert broken[ACCOUNTED] == 1
