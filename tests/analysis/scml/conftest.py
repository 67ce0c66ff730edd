"""Runs as a tracked league leaves them, small enough that every figure can be worked out by hand."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

I4, I8, F8, TEXT, FLAG = pa.int32(), pa.int64(), pa.float64(), pa.string(), pa.bool_()
NAMES = pa.list_(TEXT)


def columns(**kinds: pa.DataType) -> dict[str, pa.DataType]:
    return {"world": TEXT, **kinds}


SCHEMAS = {
    "worlds": columns(
        variant=TEXT, seed=I8, days=I4, physics=TEXT, streams=TEXT, fast=FLAG, digest=TEXT, seconds=F8,
        substituted=I4, levels=I4,
    ),
    "factories": columns(
        factory=TEXT, level=I4, policy=TEXT, shield=TEXT, focal=FLAG, lines=I4, production_cost=F8, initial_balance=F8,
        final_balance=F8, score=F8, bankrupt_day=I4, shortfall=F8, free_units=F8, suppliers=NAMES, consumers=NAMES,
    ),
    "days": columns(
        day=I4, factory=TEXT, inventory=I4, balance=F8, balance_end=F8,
        exogenous_input_quantity=I4, exogenous_input_price=F8, exogenous_output_quantity=I4, exogenous_output_price=F8,
        bought=I4, sold=I4, produced=I4, shortfall=F8, shortfall_penalty=F8, storage_cost=F8,
        input_trading_price=F8, output_trading_price=F8, lines=I4, production_cost=F8,
    ),
    "decisions": columns(
        day=I4, sequence=I8, factory=TEXT, partner=TEXT, side=TEXT, negotiation=I8, round=I4,
        op=TEXT, quantity=I4, delivery=I4, price=F8, base_op=TEXT, base_quantity=I4, base_delivery=I4, base_price=F8,
        edited=FLAG, substituted=FLAG, first=FLAG, can_buy=FLAG, offer_quantity=I4, offer_delivery=I4, offer_price=F8,
    ),
    "contracts": columns(
        sequence=I8, day=I4, negotiation=I8, seller=TEXT, buyer=TEXT, quantity=I4, delivery=I4, unit_price=F8,
        exogenous=FLAG, nullified_day=I4,
    ),
    "negotiations": columns(negotiation=I8, day=I4, seller=TEXT, buyer=TEXT, rounds=I4, agreed=FLAG, ended=I8),
}  # fmt: skip

NOTHING = (0, -1, 0.0)
FACTORIES = ("0.0", "0.1", "1.0", "1.1")
SCORES = {
    ("a", 1): (1.0, 0.6, 1.2, 0.8),
    ("a", 2): (0.8, 0.6, 1.4, 0.8),
    ("b", 1): (1.1, 0.6, 1.3, 0.8),
    ("b", 2): (1.0, 0.6, 1.6, 0.8),
}
"""Per variant and seed the scores of the four factories; 0.0 and 1.0 are focal."""

CONTRACTS = [
    # sequence, day, negotiation, seller, buyer, quantity, delivery, unit price, exogenous, nullified on day
    (1, 0, -1, "nature", "0.0", 8, 0, 5.0, True, -1),
    (2, 0, -1, "1.0", "nature", 6, 0, 20.0, True, -1),
    (10, 0, 1, "0.0", "1.0", 5, 1, 12.0, False, -1),
    (15, 0, 2, "0.0", "1.1", 14, 2, 13.0, False, -1),
    (20, 1, -1, "1.0", "nature", 12, 1, 20.0, True, -1),
    (30, 1, 6, "0.1", "1.0", 4, 2, 11.0, False, 1),
    (40, 2, -1, "1.0", "nature", 3, 2, 20.0, True, -1),
]
NEGOTIATIONS = [
    (1, 0, "0.0", "1.0", 2, True, 20),
    (2, 0, "0.0", "1.1", 1, True, 21),
    (3, 0, "0.1", "1.0", 1, False, 22),
    (4, 0, "0.1", "1.1", 1, False, 23),
    (5, 1, "0.0", "1.0", 1, False, 40),
    (6, 1, "0.1", "1.0", 1, True, 41),
]
UNSAFE = [("0.0", 11, "1.1", 2, "U1", 4.0), ("0.1", 25, "1.0", 6, "U2", 1.0)]
"""Factory, sequence, partner, negotiation, kind, excess; in world a_s0001."""


def answer(
    sequence: int,
    who: str,
    partner: str,
    negotiation: int,
    round_: int,
    sent: tuple[Any, ...],
    *,
    base: tuple[Any, ...] | None = None,
    offer: tuple[int, int, float] = NOTHING,
    day: int = 0,
    substituted: bool = False,
) -> tuple[Any, ...]:
    side = "sell" if who < partner else "buy"
    said = (*sent, *(base or sent), base is not None, substituted, offer == NOTHING, False)
    return (day, sequence, who, partner, side, negotiation, round_, *said, *offer)


DECISIONS = [
    answer(3, "0.0", "1.0", 1, 0, ("reject", 7, 0, 15.0), base=("reject", 9, 0, 15.0)),
    answer(4, "1.0", "0.0", 1, 0, ("reject", 5, 0, 11.0)),
    answer(5, "0.0", "1.0", 1, 1, ("reject", 5, 1, 12.0), base=("accept", 5, 0, 11.0), offer=(5, 0, 11.0)),
    answer(6, "1.0", "0.0", 1, 2, ("accept", 5, 1, 12.0), offer=(5, 1, 12.0)),
    answer(7, "0.1", "1.0", 3, 0, ("reject", 3, 0, 14.0)),
    answer(8, "1.0", "0.1", 3, 1, ("end", *NOTHING), offer=(3, 0, 14.0), substituted=True),
    answer(11, "0.0", "1.1", 2, 0, ("reject", 14, 2, 13.0)),
    answer(12, "1.1", "0.0", 2, 1, ("accept", 14, 2, 13.0), offer=(14, 2, 13.0)),
    answer(25, "0.1", "1.0", 6, 0, ("reject", 4, 2, 11.0), day=1),
    answer(26, "1.0", "0.1", 6, 1, ("accept", 4, 2, 11.0), offer=(4, 2, 11.0), day=1),
]


@dataclass
class SyntheticRun:
    """A league of two variants on two seeds, each world of two levels, two factories each, three days."""

    path: Path
    variants: dict[str, str] = field(default_factory=lambda: {"a": "a", "b": "b"})

    def write(self, audit: bool = True) -> Path:
        self.path.mkdir(parents=True)
        about = {"command": "league", "created": "2026-11-20T10:00:00+00:00", "kind": "league"}
        (self.path / "run.json").write_text(json.dumps(about))
        for variant, seed in SCORES:
            self.write_world(variant, seed)
        if audit:
            self.write_audit()
        return self.path

    def write_world(self, variant: str, seed: int) -> None:
        world = f"{variant}_s{seed:04d}"
        shown = self.variants[variant]
        row = (shown, seed, 3, "engine", "seat", True, f"digest of {world}", 0.25, 1, 2)
        self.write_table("worlds", world, [row])
        self.write_table("factories", world, factories(variant, seed))
        self.write_table("days", world, days())
        self.write_table("decisions", world, DECISIONS)
        self.write_table("contracts", world, CONTRACTS)
        self.write_table("negotiations", world, NEGOTIATIONS)

    def write_table(self, table: str, world: str, rows: list[tuple[Any, ...]]) -> Path:
        path = self.path / "tables" / table / f"{world}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        records = [dict(zip(SCHEMAS[table], (world, *row), strict=True)) for row in rows]
        pq.write_table(pa.Table.from_pylist(records, pa.schema(SCHEMAS[table])), path, compression="zstd")
        return path

    def write_audit(self) -> None:
        names = ("factory", "sequence", "partner", "negotiation", "kind", "excess")
        kinds = (TEXT, I8, TEXT, I8, TEXT, F8)
        schema = pa.schema({"world": TEXT, **dict(zip(names, kinds, strict=True))})
        rows = [{"world": "a_s0001", **dict(zip(names, row, strict=True))} for row in UNSAFE]
        pq.write_table(pa.Table.from_pylist(rows, schema), self.path / "unsafe.parquet")


def factories(variant: str, seed: int) -> list[tuple[Any, ...]]:
    rows = []
    for name, score in zip(FACTORIES, SCORES[variant, seed], strict=True):
        level, place = (int(part) for part in name.split("."))
        shield = "certain" if variant == "b" and place == 0 else "none"
        sides = ([], ["1.0", "1.1"]) if level == 0 else (["0.0", "0.1"], [])
        money = (1000.0, 1000.0 * score, score, 1 if name == "0.1" else -1, 2.0 + level, 3.0 * place)
        rows.append((name, level, "penguin", shield, place == 0, 10, 2.0, *money, *sides))
    return rows


def days() -> list[tuple[Any, ...]]:
    """Every factory starts its mornings with 1000, 990 and 1100; 1.0 has 5 units in store on the last."""
    rows = []
    for day, (start, end) in enumerate([(1000.0, 990.0), (990.0, 1100.0), (1100.0, 1200.0)]):
        for name in FACTORIES:
            level = int(name[0])
            store = 5 if (name, day) == ("1.0", 2) else 0
            short = 2.0 if (name, day) == ("1.0", 1) else 0.0
            prices = (10.0 + 5 * level + day, 15.0 + 5 * level + day)
            row = (day, name, store, start, end, 0, 0.0, 0, 0.0, 4, 6, 5, short, 3 * short, 0.0, *prices, 10, 2.0)
            rows.append(row)
    return rows


@dataclass
class Answer:
    """What a server said."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Server:
    """An analyzer in a process of its own."""

    address: str

    def get(self, path: str, host: str | None = None) -> Answer:
        """Ask for a path exactly as written."""
        connection = HTTPConnection(self.address.split("/")[2], timeout=30)
        try:
            connection.request("GET", path, headers={"Host": host} if host else {})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        finally:
            connection.close()


@contextmanager
def served(root: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "analysis.scml", str(root), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        line = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", line)
        yield Server(line)
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def synthetic(tmp_path: Path) -> SyntheticRun:
    """A run that is still to be written."""
    return SyntheticRun(tmp_path / "runs" / "league")


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written run, and one outside the folder of runs; tests leave them as they are."""
    root = tmp_path_factory.mktemp("analyzer")
    SyntheticRun(root / "outside").write()
    return SyntheticRun(root / "runs" / "league").write()


@pytest.fixture(scope="module")
def server(league: Path) -> Iterator[Server]:
    """Serves the folder in which the written run lies."""
    with served(league.parent) as started:
        yield started


@pytest.fixture
def serving() -> Callable[[Path], Any]:
    """Starts a server over a folder; a context manager."""
    return served
