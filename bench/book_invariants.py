"""Whether matching is right: invariants under random messages, and tapes equal to other engines'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from agora.market.messages import MESSAGE, Kind
from bench.books import peers
from bench.books.invariants import NAMES, check_book, check_message
from bench.books.streams import ALL_KINDS, WIDTH, draw, seed_draws, shares
from bench.report import Row
from env_server.environments.market.book.books import Books
from env_server.environments.market.book.messages import handle
from env_server.environments.market.book.oracle import Oracle
from env_server.environments.market.book.phases import turn
from env_server.environments.market.book.queues import OPTIONS
from env_server.environments.market.book.records import RESULT, Phase, SelfTrade
from env_server.environments.market.book.rules import Rules

TITLE = "matching is right: twelve invariants, the oracle's tape and another engine's"

LIVE: Final = 300
CHUNK: Final = 32
NONSENSE: Final = 0.02
MODES: Final = tuple(SelfTrade)


@njit(**OPTIONS)
def rounds(book: Any, messages: Any, results: Any, cumulated: Any, turns: Any, flows: Any, broken: Any) -> None:
    """Rounds of messages (K,), each message checked; after each round a phase (-1: none) and the whole book."""
    since = book.fed
    for number in range(len(turns)):
        draw(book, messages, cumulated, WIDTH, LIVE, NONSENSE)
        for place in range(len(messages)):
            before = book.fed
            handle(book, messages[place], results[place])
            check_message(book, messages[place], results[place], before, broken)
        if turns[number] >= 0:
            turn(book, turns[number])
        check_book(book, flows, since, broken)
        since = book.fed


def rules_of(mode: SelfTrade, **changes: Any) -> Rules:
    """Rules with every fee and limit at work."""
    given = {"accounts": 16, "maker_fee": -2, "taker_fee": 3, "self_trade": mode, "position_limit": 2_000, **changes}
    return Rules(**given)


def violations(messages: int, mode: SelfTrade, seed: int) -> NDArray[np.int64]:
    """How often each invariant broke in so many messages, (invariants,)."""
    seed_draws(seed)
    book = Books(rules_of(mode)).records[0]
    count = messages // CHUNK
    generator = np.random.default_rng(seed)
    turns = np.where(generator.random(count) < 0.2, Phase.CONTINUOUS, -1)
    turns = np.where(generator.random(count) < 0.02, generator.integers(0, len(Phase), count), turns)
    flows, broken = np.zeros(2, np.int64), np.zeros(len(NAMES), np.int64)
    rounds(book, np.zeros(CHUNK, MESSAGE), np.zeros(CHUNK, RESULT), shares(ALL_KINDS), turns, flows, broken)
    return broken


def drawn(books: Books, kinds: Mapping[Kind, float], nonsense: float, count: int = CHUNK) -> NDArray[Any]:
    """Messages (M, count) that fit the books as they stand."""
    messages = np.zeros((len(books.records), count), MESSAGE)
    for book, row in zip(books.records, messages, strict=True):
        draw(book, row, shares(kinds), WIDTH, LIVE, nonsense)
    return messages


def mirrored(messages: int, seed: int) -> int:
    """Events that differ between a market and its reflection in the price. Stops go by side, so there are none."""
    seed_draws(seed)
    kinds: dict[Kind, float] = {kind: share for kind, share in ALL_KINDS.items() if kind != Kind.STOP}
    books, reflections, wrong = Books(rules_of(MODES[seed % 4])), Books(rules_of(MODES[seed % 4])), 0
    top = books.rules.base + books.rules.prices - 1
    for _ in range(messages // 1024):
        fed = int(books.records["fed"][0])
        asked = drawn(books, kinds, 0.0, 1024)
        reflection = asked.copy()
        reflection["side"], reflection["price"] = 1 - asked["side"], books.rules.base + top - asked["price"]
        books.process(asked)
        reflections.process(reflection)
        seen, mirror = books.events(0, fed), reflections.events(0, fed)
        mirror["lane"], mirror["price"] = 1 - mirror["lane"], books.rules.base + top - mirror["price"]
        wrong += int((seen != mirror).sum()) if len(seen) == len(mirror) else max(len(seen), len(mirror))
    return wrong


def repeated(messages: int, seed: int) -> tuple[int, int]:
    """Books that differ after a snapshot was restored and played again, and from the same books one by one."""
    seed_draws(seed)
    books = Books(rules_of(MODES[seed % 4]), 8)
    alone = [Books(books.rules) for _ in range(8)]
    again = apart = 0
    for _ in range(messages // (8 * 1024)):
        asked = drawn(books, ALL_KINDS, NONSENSE, 1024)
        snapshot = books.records.copy()
        first = books.process(asked)
        after = books.records.copy()
        books.records[...] = snapshot
        again += int((books.process(asked) != first).any()) + int((books.records != after).sum())
        for index, book in enumerate(alone):
            book.process(asked[index : index + 1])
            apart += int(book.records[0].tobytes() != books.records[index].tobytes())
    return again, apart


def against_oracle(messages: int, seed: int) -> int:
    """Results and events that differ from the pure-Python engine's, accounts included."""
    seed_draws(seed)
    generator = np.random.default_rng(seed)
    books = Books(rules_of(MODES[seed % 4], slots=256))
    oracle, wrong = Oracle(books.rules), 0
    for _ in range(messages // CHUNK):
        fed = int(books.records["fed"][0])
        asked = drawn(books, ALL_KINDS, NONSENSE)
        results = books.process(asked)[0]
        fields = [asked[0][name].tolist() for name in ("kind", "agent", "side", "price", "size", "id")]
        wanted = [tuple(map(int, oracle.handle(*message))) for message in zip(*fields, strict=True)]
        wrong += results.tolist() != wanted
        if generator.random() < 0.1:
            phase = Phase(int(generator.choice([0, 0, 0, 1, 2, 3])))
            books.turn(phase)
            oracle.turn(phase)
        names = ["id", "other", "price", "size", "agent", "other_agent", "kind", "lane"]
        wrong += books.events(0, fed)[names].tolist() != oracle.feed
        oracle.feed.clear()
    for account, record in zip(oracle.accounts, books.records[0]["accounts"], strict=True):
        wrong += (account.cash, account.shares, account.fees) != (record["cash"], record["shares"], record["fees"])
    return int(wrong)


def run(quick: bool) -> list[Row]:
    """Run everything; ``quick`` with a hundredth of the messages."""
    part = 100 if quick else 1
    broken = np.sum([violations(25_000_000 // part, mode, seed) for seed, mode in enumerate(MODES)], axis=0)
    rows = [_none(f"{NAMES[number]}, 100 M messages", count) for number, count in enumerate(broken.tolist())]
    again, apart = repeated(4_000_000 // part, 1)
    tapes = sum(against_oracle(2_500_000 // part, seed) for seed in range(4))
    rows += [
        _none("a market and its mirror image, 4 M messages", mirrored(4_000_000 // part, 2)),
        _none("snapshot restored and played again, 4 M messages", again),
        _none("a batch of books and each alone, 4 M messages", apart),
        _none("the pure-Python oracle's tape, 10 M messages", tapes),
        _none("bourse's trades, 1 M messages", peers.against_bourse(1_000_000 // part)),
    ]
    return rows


def _none(name: str, count: int) -> Row:
    return Row(name, [float(count)], "violations", "0", int(count) == 0)
