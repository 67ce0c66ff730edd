"""Bad messages: rejected with a reason and a count, and the book is as it was."""

from __future__ import annotations

import numpy as np
import pytest

from agora.market.messages import MAX_SIZE, Kind, Reason
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.records import Lane, Phase
from env_server.environments.market.book.rules import Rules
from tests.support.markets import BUY, SELL, Talk

COUNTS = ("rejected", "reason")


@pytest.fixture
def book() -> Talk:
    """A book with a bid of agent 1 at 100 (id 1), an ask of agent 2 at 102 (id 2), and agent 3's buy stop (id 3)."""
    talk = Talk(position_limit=50)
    talk.rest(1, BUY, 100, 10)
    talk.rest(2, SELL, 102, 10)
    talk.say(Kind.STOP, 3, BUY, 110, 1)
    return talk


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((Kind.LIMIT, 0, BUY, 0, 1), Reason.OFF_LADDER),
        ((Kind.LIMIT, 0, BUY, 257, 1), Reason.OFF_LADDER),
        ((Kind.STOP, 0, BUY, -5, 1), Reason.OFF_LADDER),
        ((Kind.LIMIT, 0, BUY, 99, 0), Reason.BAD_SIZE),
        ((Kind.MARKET, 0, BUY, 99, -4), Reason.BAD_SIZE),
        ((Kind.IOC, 0, BUY, 99, MAX_SIZE + 1), Reason.BAD_SIZE),
        ((Kind.LIMIT, 0, 2, 99, 1), Reason.BAD_SIDE),
        ((Kind.LIMIT, 0, -1, 99, 1), Reason.BAD_SIDE),
        ((11, 0, BUY, 99, 1), Reason.BAD_KIND),
        ((-1, 0, BUY, 99, 1), Reason.BAD_KIND),
        ((Kind.LIMIT, 0, BUY, 99, 51), Reason.POSITION_LIMIT),
        ((Kind.LIMIT, 1, BUY, 99, 41), Reason.POSITION_LIMIT),
        ((Kind.LIMIT, 2, SELL, 105, 41), Reason.POSITION_LIMIT),
        ((Kind.CANCEL, 0, 0, 0, 0, 99), Reason.UNKNOWN_ORDER),
        ((Kind.CANCEL, 0, 0, 0, 0, 17), Reason.UNKNOWN_ORDER),
        ((Kind.CANCEL, 0, 0, 0, 0, -15), Reason.UNKNOWN_ORDER),
        ((Kind.CANCEL, 0, 0, 0, 0, 1), Reason.NOT_YOURS),
        ((Kind.REDUCE, 1, 0, 0, 0, 1), Reason.BAD_SIZE),
        ((Kind.REPLACE, 1, 0, 300, 5, 1), Reason.OFF_LADDER),
        ((Kind.REPLACE, 1, 0, 101, 0, 1), Reason.BAD_SIZE),
        ((Kind.REPLACE, 1, 0, 101, 51, 1), Reason.POSITION_LIMIT),
        ((Kind.REPLACE, 3, 0, 101, 1, 3), Reason.BAD_KIND),
    ],
)
def test_a_bad_message_changes_nothing_but_the_count(
    book: Talk, message: tuple[Kind, int, int, int, int], reason: Reason
) -> None:
    before = book.books.records.copy()

    assert book.say(*message)[1:] == (0, reason)

    account = book.account(message[1])
    assert (account["rejected"], account["reason"]) == (1, reason)
    for name in COUNTS:
        book.books.records["accounts"][name] = 0
    assert book.books.records.tobytes() == before.tobytes()


@pytest.mark.parametrize("agent", [-1, 4, 2**31 - 1])
def test_nobody_s_message_changes_nothing_at_all(book: Talk, agent: int) -> None:
    before = book.books.records.tobytes()
    assert book.say(Kind.LIMIT, agent, BUY, 99, 1) == (0, 0, Reason.BAD_AGENT)
    assert book.books.records.tobytes() == before


def test_a_full_book_takes_cancels_only() -> None:
    book = Talk(slots=2)
    first = book.rest(0, BUY, 10, 1)
    book.rest(0, BUY, 11, 1)

    assert book.say(Kind.LIMIT, 1, SELL, 20, 1)[2] is Reason.BOOK_FULL
    book.say(Kind.CANCEL, 0, order=first)
    assert book.say(Kind.LIMIT, 1, SELL, 20, 1)[2] is Reason.ACCEPTED


def test_an_id_is_never_that_of_an_order_that_still_rests() -> None:
    book = Talk(slots=4)
    old = book.rest(0, BUY, 10, 1)
    ids = [book.rest(1, BUY, 20, 1)]
    for _ in range(9):
        book.say(Kind.CANCEL, 1, order=ids[-1])
        ids.append(book.rest(1, BUY, 20, 1))

    assert len(set(ids)) == len(ids) and old not in ids
    assert book.queue(Lane.BID, 10) == [(old, 1)]


@pytest.mark.parametrize("phase", [Phase.HALTED, Phase.CLOSED])
def test_while_halted_orders_can_only_leave(book: Talk, phase: Phase) -> None:
    book.books.turn(phase)

    assert book.say(Kind.LIMIT, 0, BUY, 99, 1)[2] is Reason.WRONG_PHASE
    assert book.say(Kind.REPLACE, 1, price=99, size=20, order=1)[2] is Reason.WRONG_PHASE
    assert book.say(Kind.REDUCE, 1, size=1, order=1)[2] is Reason.ACCEPTED
    assert book.say(Kind.CANCEL, 2, order=2)[2] is Reason.ACCEPTED


def test_malformed_arrays_are_refused() -> None:
    books = Books(Rules(accounts=2, prices=8, slots=8, events=8), 2)
    with pytest.raises(ValueError, match=r"messages: expected MESSAGE \(2, K\), got int64 \(2, 3\)"):
        books.process(np.zeros((2, 3), np.int64))


@pytest.mark.parametrize("name", ["slots", "prices", "events"])
def test_sizes_are_powers_of_two(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a power of two, got 12"):
        Books(Rules(**{name: 12}))
