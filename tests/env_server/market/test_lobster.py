"""Order-book data in and out: what was written is played back to the same book, and others may act beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agora.market.messages import MESSAGE, Kind
from bench.books.streams import COMMON_KINDS, recorded
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import SelfTrade
from env_server.environments.market.book.rules import Rules
from env_server.environments.market.lobster import (
    NO_ASK,
    TAPE,
    Replay,
    depth_of,
    read_depth,
    read_tape,
    tape_of,
    write_depth,
    write_tape,
)
from tests.support.markets import BUY, SELL, Talk

RULES = Rules(accounts=8, prices=1024, slots=1024, events=65536, self_trade=SelfTrade.ALLOWED)


def traded(count: int) -> Any:
    """Events of a random market."""
    books = Books(RULES)
    books.process(recorded(RULES, COMMON_KINDS, count, 1)[None])
    return books.events(0, 0)


def test_a_file_by_hand(tmp_path: Path) -> None:
    talk = Talk()
    ask = talk.rest(1, SELL, 101, 5)
    talk.say(Kind.MARKET, 0, BUY, size=2)
    bid = talk.rest(2, BUY, 99, 4)
    talk.say(Kind.REDUCE, 2, size=1, order=bid)
    talk.say(Kind.CANCEL, 1, order=ask)
    events = talk.books.events(0, 0)
    write_tape(tmp_path / "m.csv", tape_of(events, 34200.0 + np.arange(5)))
    write_depth(tmp_path / "b.csv", depth_of(events, 1, talk.books.rules))

    none = NO_ASK
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        f"34200,1,{ask},5,10100,-1",
        f"34201,4,{ask},2,10100,-1",
        f"34202,1,{bid},4,9900,1",
        f"34203,2,{bid},1,9900,1",
        f"34204,3,{ask},3,10100,-1",
    ]
    assert (tmp_path / "b.csv").read_text().splitlines() == [
        f"10100,5,-{none},0",
        f"10100,3,-{none},0",
        "10100,3,9900,4",
        "10100,3,9900,3",
        f"{none},0,9900,3",
    ]
    assert (read_tape(tmp_path / "m.csv") == tape_of(events, 34200.0 + np.arange(5))).all()


def test_what_was_written_plays_back_to_the_same_book(tmp_path: Path) -> None:
    events = traded(20_000)
    write_tape(tmp_path / "m.csv", tape_of(events, np.arange(len(events)) / 10.0))
    write_depth(tmp_path / "b.csv", depth_of(events, 10, RULES))
    tape, depth = read_tape(tmp_path / "m.csv"), read_depth(tmp_path / "b.csv")
    replay = Replay(Books(RULES))
    for row, book in zip(tape.tolist(), depth, strict=True):
        replay.play(row)
        assert (replay.depth(10) == book).all()


def test_a_day_that_begins_with_a_book_goes_on_from_it() -> None:
    events = traded(5_000)
    tape, depth = tape_of(events, np.zeros(len(events))), depth_of(events, 200, RULES)
    replay = Replay(Books(RULES))
    replay.start(depth[999])
    for row, book in zip(tape[1000:].tolist(), depth[1000:], strict=True):
        replay.play(row)
        assert (replay.depth(200) == book).all()


def test_somebody_elses_order_takes_part() -> None:
    replay = Replay(Books(RULES))
    replay.play((0.0, 1, 71, 5, 50_000, 1))
    ours = np.array([[(Kind.LIMIT, 3, 0, 501, 2, 0)]], MESSAGE)
    replay.books.process(ours)
    replay.play((1.0, 4, 71, 3, 50_000, 1))  # somebody sold three lots to 71 at 500; ours bid more

    accounts = replay.books.records[0]["accounts"]
    assert accounts["shares"][3] == 2 and replay.depth(1)[0, 2:].tolist() == [50_000, 4]


@pytest.mark.parametrize(("price", "got"), [(50_050, "50050"), (10_000_000, "10000000")])
def test_prices_that_no_queue_has_are_refused(price: int, got: str) -> None:
    with pytest.raises(ValueError, match=f"price: expected a multiple of 100 from 100 to 102400, got {got}"):
        Replay(Books(RULES)).play((0.0, 1, 1, 5, price, 1))


@pytest.mark.parametrize(
    ("text", "words"),
    [("1.0,9,1,1,1,1\n", "row 1: type: expected 1 to 7, got 9"), ("1.0,one,1,1,1,1\n", "expected LOBSTER's columns")],
)
def test_files_of_another_kind_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_tape(tmp_path / "m.csv")


def test_books_of_another_width_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("1,2,3\n")
    with pytest.raises(ValueError, match="expected four columns per level, got 3"):
        read_depth(tmp_path / "b.csv")


def test_tapes_have_the_columns_of_the_format() -> None:
    assert TAPE.names == ("time", "type", "id", "size", "price", "direction")
