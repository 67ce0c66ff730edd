"""What was signed, said and in store in one world, as its tables tell it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from analysis.scml.runs import Run
from analysis.scml.tables import BrokenTableError, Row, query

T = TypeVar("T")


class Factory(NamedTuple):
    """One factory; fields as the columns of table ``factories``."""

    factory: str
    level: int
    policy: str
    shield: str
    focal: bool
    lines: int
    production_cost: float
    score: float
    bankrupt_day: int


class Day(NamedTuple):
    """One factory's day; fields as the columns of table ``days``, prices of nature's contracts being totals."""

    factory: str
    day: int
    inventory: int
    balance: float
    balance_end: float
    exogenous_input_quantity: int
    exogenous_input_price: float
    exogenous_output_quantity: int
    exogenous_output_price: float
    bought: int
    sold: int
    produced: int
    shortfall: float
    shortfall_penalty: float
    storage_cost: float


class Act(NamedTuple):
    """One answer to one partner; fields as the columns of table ``decisions``. A decision's acts share a sequence."""

    factory: str
    sequence: int
    day: int
    partner: str
    side: str
    negotiation: int
    round: int
    op: str
    quantity: int
    delivery: int
    price: float
    can_buy: bool
    first: bool
    offer_quantity: int
    offer_delivery: int
    offer_price: float

    @property
    def binds(self) -> bool:
        """Whether it accepts an offer or makes one; such acts are judged."""
        return self.quantity > 0 and self.op in ("accept", "reject")


class Contract(NamedTuple):
    """One contract; fields as the columns of table ``contracts``."""

    sequence: int
    day: int
    negotiation: int
    seller: str
    buyer: str
    quantity: int
    delivery: int
    unit_price: float
    exogenous: bool
    nullified_day: int

    def stands(self, day: int) -> bool:
        """Whether it is not yet void on that day; it is void from the day after ``nullified_day``."""
        return self.nullified_day < 0 or day <= self.nullified_day


@dataclass(frozen=True)
class Ledger:
    """One world.

    Attributes:
        world: its id.
        physics: "engine" or "conserving", as it was played.
        days_planned: how many days it had.
        factories: level by level.
        days: per factory, in order.
        acts: per factory, in order.
        contracts: in order.
        ended: per negotiation, the sequence at which it ended.
    """

    world: str
    physics: str
    days_planned: int
    factories: tuple[Factory, ...]
    days: dict[str, list[Day]]
    acts: dict[str, list[Act]]
    contracts: list[Contract]
    ended: dict[int, int]


def read(run: Run, world: str) -> Ledger:
    """A world's ledger.

    Raises:
        BrokenTableError: a table is missing, lacks a column or does not belong to the others; the message names it.
    """
    about = _rows(run, world, "worlds", ("physics", "days"), "world")
    if len(about) != 1:
        raise BrokenTableError(f"{run.path}/tables/worlds/{world}.parquet: expected one row, got {len(about)}")
    factories = tuple(Factory(**row) for row in _rows(run, world, "factories", Factory._fields, "level, factory"))
    days: dict[str, list[Day]] = {factory.factory: [] for factory in factories}
    acts: dict[str, list[Act]] = {factory.factory: [] for factory in factories}
    for row in _rows(run, world, "days", Day._fields, "day"):
        _of(days, row["factory"], f"{run.path}/tables/days/{world}.parquet").append(Day(**row))
    for row in _rows(run, world, "decisions", Act._fields, "sequence"):
        _of(acts, row["factory"], f"{run.path}/tables/decisions/{world}.parquet").append(Act(**row))
    contracts = [Contract(**row) for row in _rows(run, world, "contracts", Contract._fields, "sequence")]
    over = _rows(run, world, "negotiations", ("negotiation", "ended"), "negotiation")
    ended = {row["negotiation"]: row["ended"] for row in over}
    return Ledger(world, about[0]["physics"], about[0]["days"], factories, days, acts, contracts, ended)


def by_factory(contracts: Sequence[Contract]) -> dict[str, list[Contract]]:
    """The contracts of each factory, bought and sold, in order."""
    found: dict[str, list[Contract]] = defaultdict(list)
    for contract in contracts:
        found[contract.seller].append(contract)
        found[contract.buyer].append(contract)
    return found


def _rows(run: Run, world: str, table: str, columns: Sequence[str], order: str) -> list[Row]:
    # Table and column names are constants of this module.
    return query(run, f"select {', '.join(columns)} from {table} order by {order}", [world], [table])  # noqa: S608


def _of(lists: dict[str, list[T]], factory: str, path: str) -> list[T]:
    if factory not in lists:
        raise BrokenTableError(f"{path}: column 'factory': expected one of {', '.join(lists)}, got {factory!r}")
    return lists[factory]
