"""Order-book data in and out: what was written is played back to the same book, and others may act beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agora.market.messages import MESSAGE, Kind
from bench.books.streams import COMMON_KINDS, recorded
from bench.lobster import real
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import EVENT, Lane, Phase, SelfTrade
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


@pytest.mark.parametrize("levels", [1, 3, 9])
def test_the_levels_of_a_tape_are_what_counting_finds_to_the_ladder_s_ends(levels: int) -> None:
    """Lots come and go at every price from the lowest to the highest; sums by price are sorted after each message."""
    rules, rng = Rules(base=5, prices=8), np.random.default_rng(4)
    lots: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
    events, books = np.zeros(600, EVENT), []
    for event in events:
        side = int(rng.integers(2))
        there, price = lots[side], int(rng.integers(5, 13))
        if there.get(price) and rng.random() < 0.6:
            kind, size = int(rng.integers(2, 5)), int(rng.integers(1, there[price] + 1))
            there[price] -= size
        else:
            kind, size = 1, int(rng.integers(1, 9))
            there[price] = there.get(price, 0) + size
        event["kind"], event["lane"], event["price"], event["size"] = kind, side, price, size
        asks = sorted((price, size) for price, size in lots[SELL].items() if size)
        bids = sorted(((price, size) for price, size in lots[BUY].items() if size), reverse=True)
        asks, bids = ([*side, *[None] * levels][:levels] for side in (asks, bids))
        books.append(
            [
                [*((ask[0] * 25, ask[1]) if ask else (NO_ASK, 0)), *((bid[0] * 25, bid[1]) if bid else (-NO_ASK, 0))]
                for ask, bid in zip(asks, bids, strict=True)
            ]
        )
    assert {price for side in lots.values() for price in side} == set(range(5, 13))
    assert np.array_equal(depth_of(events, levels, rules, 25), books)


LEVELS = 3


def narrow(count: int, levels: int = LEVELS) -> tuple[Any, Any]:
    """A random market's files as LOBSTER has them: without messages that its few levels do not show."""
    events = traded(count)
    tape, depth = tape_of(events, np.zeros(len(events))), depth_of(events, levels, RULES)
    seen = np.append(True, (depth[1:] != depth[:-1]).any(axis=(1, 2)))
    return tape[seen], depth[seen]


@pytest.mark.parametrize("levels", [1, LEVELS, 10])
def test_what_comes_into_view_rests(levels: int) -> None:
    tape, depth = narrow(20_000, levels)
    with_books, without = Replay(Books(RULES)), Replay(Books(RULES))
    differ = 0
    for row, book in zip(tape.tolist(), depth, strict=True):
        with_books.play(row, book)
        without.play(row)
        assert (with_books.depth(levels) == book).all()
        differ += not np.array_equal(without.depth(levels), book)
    assert differ > len(tape) / 10 and with_books.appeared > 0 and with_books.vanished > 0
    assert without.appeared == without.vanished == 0


def test_a_book_in_the_middle_of_a_narrow_file_is_a_start() -> None:
    tape, depth = narrow(20_000)
    replay = Replay(Books(RULES))
    replay.start(depth[999])
    for row, book in zip(tape[1000:].tolist(), depth[1000:], strict=True):
        replay.play(row, book)
        assert (replay.depth(LEVELS) == book).all()


def row_of(kind: int, id_: int, size: int, price: int, direction: int = 1) -> tuple[float, int, int, int, int, int]:
    return (0.0, kind, id_, size, price, direction)


def bids(*levels: tuple[int, int], wide: int = 2) -> Any:
    """A book without asks."""
    shown = np.tile(np.array([NO_ASK, 0, -NO_ASK, 0]), (wide, 1))
    for level, (price, size) in enumerate(levels):
        shown[level, 2:] = price, size
    return shown


def queue(replay: Replay, price: int) -> list[int]:
    """Sizes of the bids at a price, first the first to trade."""
    talk = Talk()
    talk.books = replay.books
    return [size for _, size in talk.queue(Lane.BID, price)]


def test_what_left_while_nobody_saw_it_is_gone_when_its_price_comes_back() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids())
    replay.play(row_of(1, 7, 5, 9_800), bids((9_800, 5)))
    replay.play(row_of(1, 8, 4, 9_800), bids((9_800, 9)))
    replay.play(row_of(1, 9, 1, 9_900), bids((9_900, 1), (9_800, 9)))
    replay.play(row_of(1, 10, 1, 10_000), bids((10_000, 1), (9_900, 1)))
    # Out of view order 8 left, and order 7 lost two lots.
    replay.play(row_of(3, 10, 1, 10_000), bids((9_900, 1), (9_800, 3)))
    assert queue(replay, 98) == [3] and replay.vanished == 6 and replay.appeared == 0
    # It may have been order 7 that left: what happens to 8 happens to who is there.
    replay.play(row_of(2, 8, 1, 9_800), bids((9_900, 1), (9_800, 2)))
    assert queue(replay, 98) == [2]


def test_who_is_as_large_as_before_may_still_be_somebody_else() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids())
    replay.play(row_of(1, 7, 5, 9_800), bids((9_800, 5)))
    replay.play(row_of(1, 9, 1, 9_900), bids((9_900, 1), (9_800, 5)))
    replay.play(row_of(1, 10, 1, 10_000), bids((10_000, 1), (9_900, 1)))
    replay.play(row_of(3, 10, 1, 10_000), bids((9_900, 1), (9_800, 5)))
    replay.play(row_of(3, 99, 5, 9_800), bids((9_900, 1)))  # 7 had left, and 99 come
    assert (replay.depth(2) == bids((9_900, 1))).all()


def test_who_is_known_does_not_stand_in_for_strangers_of_other_prices_nor_for_what_others_took() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids((9_900, 2)))
    replay.play(row_of(1, 7, 5, 9_900), bids((9_900, 7)))
    replay.play(row_of(1, 8, 5, 9_800), bids((9_900, 7), (9_800, 5)))
    replay.books.process(np.array([[(Kind.IOC, 3, SELL, 99, 6, 0)]], MESSAGE))  # the stranger's two, and four of 7
    replay.play(row_of(3, 7, 5, 9_900), bids((9_900, 2), (9_800, 5)))
    assert (replay.depth(2) == bids((9_800, 5))).all()
    replay.play(row_of(3, 55, 2, 9_900), bids((9_800, 5)))
    assert (replay.depth(2) == bids((9_800, 5))).all()


def test_what_others_did_in_view_stays_done() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids((9_900, 4), (9_800, 5)))
    replay.books.process(np.array([[(Kind.IOC, 3, SELL, 99, 4, 0)]], MESSAGE))
    replay.play(row_of(1, 7, 1, 9_800), bids((9_900, 4), (9_800, 6)))
    assert (replay.depth(2) == bids((9_800, 6))).all()
    replay.play(row_of(3, 77, 4, 9_900), bids((9_800, 6), (9_700, 3)))
    assert (replay.depth(2) == bids((9_800, 6), (9_700, 3))).all() and replay.appeared == 4 + 5 + 3


@pytest.mark.parametrize(("side", "tick"), [(BUY, 1), (SELL, 1024)])
def test_where_all_is_in_view_the_last_price_of_the_ladder_is_too(side: int, tick: int) -> None:
    replay, nothing = Replay(Books(RULES)), np.array([[NO_ASK, 0, -NO_ASK, 0]] * 2)
    shown = nothing.copy()
    shown[0, 2 - 2 * side : 4 - 2 * side] = 100 * tick, 4
    replay.start(shown)
    replay.books.process(np.array([[(Kind.IOC, 3, 1 - side, tick, 4, 0)]], MESSAGE))
    replay.play(row_of(5, 0, 1, 50_000), shown)  # what somebody took stays gone
    assert (replay.depth(2) == nothing).all() and replay.appeared == 4


def test_others_orders_are_not_the_files() -> None:
    replay = Replay(Books(RULES))
    replay.books.process(np.array([[(Kind.LIMIT, 3, BUY, 98, 2, 0)]], MESSAGE))
    replay.start(bids((9_900, 4), (9_800, 5)))
    replay.play(row_of(6, 0, 1, 9_900), bids((9_900, 3)))
    assert queue(replay, 99) == [3] and queue(replay, 98) == [2]


def test_a_level_larger_than_any_order_is_several() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids((9_900, 2_500_000)))
    assert queue(replay, 99) == [1_000_000, 1_000_000, 500_000]
    replay.play(row_of(2, 7, 1_200_000, 9_900))
    assert queue(replay, 99) == [800_000, 500_000]


def test_halts_stop_trading_and_an_auction_ends_in_a_cross() -> None:
    replay = Replay(Books(RULES))
    replay.start(np.array([[10_100, 5, 9_900, 4], [NO_ASK, 0, 9_800, 6]]))
    phase = replay.books.records["phase"]
    replay.play(row_of(7, 0, 0, -1, -1))
    assert phase[0] == Phase.HALTED
    replay.play(row_of(1, 7, 3, 9_700), np.array([[10_100, 5, 9_900, 4], [NO_ASK, 0, 9_800, 6]]))
    assert phase[0] == Phase.HALTED and queue(replay, 97) == [3]  # a file has it, so it rests
    replay.play(row_of(4, 0, 6, 9_800))
    assert queue(replay, 98) == [] and queue(replay, 99) == [4]  # what it names, not who is first
    replay.play(row_of(7, 0, 0, 0, -1))
    assert phase[0] == Phase.AUCTION
    replay.play(row_of(1, 8, 2, 10_200))
    assert replay.depth(1).tolist() == [[10_100, 5, 10_200, 2]]
    replay.play(row_of(6, 0, 2, 10_100))
    assert phase[0] == Phase.CONTINUOUS and replay.depth(1).tolist() == [[10_100, 3, 9_900, 4]]
    replay.play(row_of(7, 0, 0, 1, -1))
    assert phase[0] == Phase.CONTINUOUS


@pytest.mark.parametrize("kind", [6, 7])
def test_after_a_cross_or_a_halt_the_whole_book_is_taken(kind: int) -> None:
    replay = Replay(Books(RULES))
    replay.start(np.array([[10_100, 5, 9_900, 4], [10_200, 5, 9_800, 6]]))
    after = np.array([[10_000, 1, 9_600, 3], [10_100, 2, 9_500, 8]])
    replay.play(row_of(kind, 0, 0, 1), after)
    assert (replay.depth(2) == after).all()
    # The best bid of before would have traded with the ask that is new.
    crossed = np.array([[9_600, 2, 9_500, 8], [10_000, 1, NO_ASK * -1, 0]])
    replay.play(row_of(kind, 0, 0, 1), crossed)
    assert (replay.depth(2) == crossed).all()


def test_crosses_of_continuous_trading_and_hidden_executions_change_nothing_of_themselves() -> None:
    replay = Replay(Books(RULES))
    replay.start(bids((9_900, 4)))
    replay.play(row_of(5, 0, 4, 9_950))
    replay.play(row_of(6, 0, 4, 9_900))
    assert (replay.depth(2) == bids((9_900, 4))).all()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (row_of(7, 0, 0, 5), "price of a halt: expected -1, 0 or 1, got 5"),
        (row_of(1, 7, 2_000_000, 9_900), "order of 2000000 lots at 9900: the book refuses it: bad size"),
        (row_of(4, 7, 0, 9_900), "order of 0 lots at 9900: the book refuses it: bad size"),
    ],
)
def test_messages_that_no_market_has_are_refused(row: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Replay(Books(RULES)).play(row)


def test_a_book_without_room_is_told() -> None:
    replay = Replay(Books(RULES.model_copy(update={"slots": 2})))
    with pytest.raises(ValueError, match=r"order of 7 lots at .*: the book refuses it: book full"):
        replay.start(bids((9_900, 7), (9_800, 7), (9_700, 7), wide=3))


@pytest.mark.skipif(
    "AGORA_LOBSTER" not in os.environ,
    reason="no LOBSTER files: AGORA_LOBSTER=FOLDER, with one *message*.csv and one *orderbook*.csv, brings them",
)
def test_real_files_play_back_to_the_same_books() -> None:
    wrong, blind, books = real(Path(os.environ["AGORA_LOBSTER"]))
    assert wrong == 0 < blind < books


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
