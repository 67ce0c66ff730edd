"""ABIDES' quotes and trades as seconds, its order sizes, and what is said of its facts: against numbers by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from analysis.market.facts import Fact
from bench import abides
from bench.peer_programs.abides import Mixture, told
from bench.report import Verdict

OPENED = 1_000 * abides.NS


def at(second: float) -> int:
    return OPENED + round(second * abides.NS)


def quote(second: float, bids: list[tuple[float, int]], asks: list[tuple[float, int]]) -> dict[str, object]:
    return {"QuoteTime": at(second), "bids": np.array(bids), "asks": np.array(asks)}


@pytest.fixture
def book():
    return SimpleNamespace(
        book_log2=[
            quote(0.5, [(99, 5)], []),
            quote(1.2, [(99, 5), (98, 1)], [(101, 5)]),
            quote(1.9, [(99, 5)], [(103, 5)]),
            quote(2.4, [(99, 5)], []),
            quote(4.0, [(97, 5)], [(99, 5)]),
            quote(9.0, [(1, 5)], [(3, 5)]),
        ],
        buy_transactions=[(at(1.5), 7), (at(3.0), 2), (at(9.0), 50)],
        sell_transactions=[(at(0.7), 9), (at(1.6), 3), (at(3.999), 6)],
    )


def test_trades_are_signed_by_who_came_last_and_sorted(book):
    session = told(book, OPENED)
    assert (session["traded"] / abides.NS).tolist() == [0.7, 1.5, 1.6, 3.0, 3.999, 9.0]
    assert session["signed"].tolist() == [-9, 7, -3, 2, -6, 50]
    assert session["best"].tolist() == [[99, 0], [99, 101], [99, 103], [99, 0], [97, 99], [1, 3]]


def test_a_step_is_a_second_from_the_first_with_both_sides_on(book):
    tape = abides.tape_of(told(book, OPENED), 5)
    assert tape.mid.tolist() == [101.0, 101.0, 101.0, 98.0], "at 2.4 there is no ask: the last middle stays"
    assert tape.volume.tolist() == [10.0, 0.0, 8.0, 0.0]
    assert tape.flow.tolist() == [4.0, 0.0, -4.0, 0.0]


def test_what_is_at_a_second_is_in_the_one_that_begins(book):
    tape = abides.tape_of(told(book, OPENED), 10)
    assert (tape.mid[-1], tape.volume[-1], tape.mid[-2], tape.volume[-2]) == (2.0, 50.0, 98.0, 0.0)


def test_a_session_without_quotes_is_refused(book):
    with pytest.raises(ValueError, match="both sides within 1 s"):
        abides.tape_of(told(book, OPENED), 1)


def test_order_sizes_are_drawn_from_the_part_and_by_a_state_of_their_own():
    normal = {"name": "NormalDistribution", "parameters": [100.0, 0.15]}
    skewed = {"name": "LogNormalDistribution", "parameters": [2.9, 1.2]}
    mixture = Mixture.from_json(json.dumps({"weights": [1.0, 3.0], "distributions": [skewed, normal]}))
    drawn, state = np.random.RandomState(3), np.random.RandomState(3)
    for _ in range(20):
        own = np.random.RandomState(state.randint(1_000_000))
        wanted = own.lognormal(2.9, 1.2) if state.random_sample() < 0.25 else own.normal(100.0, 0.15)
        assert mixture.sample(drawn) == wanted


def test_facts_are_counted_by_seed_and_those_that_never_hold_are_named():
    def seed(*holds: bool) -> list[Fact]:
        return [Fact(name, (), "", held) for name, held in zip("abc", holds, strict=True)]

    row = abides.counted("it", [seed(True, False, False), seed(True, True, False)])
    assert (row.name, row.values, row.verdict) == ("it: facts of 3", [1.0, 2.0], Verdict.TOLD)
    assert row.target.endswith("in no seed: c")


def test_a_program_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="abides_core"):
        abides.play(Path(sys.executable), tmp_path, 1, 1.0)
