"""Tiny worlds of the supply chain, written as the tables that a tracked run leaves, to be audited by hand."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from analysis.scml.runs import Run
from analysis.scml.tables import COLUMNS
from analysis.scml.verdict import Audit, audit

DAYS = 10
TYPES = {
    "text": pa.string(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "yes or no": pa.bool_(),
    "list": pa.list_(pa.string()),
}
EMPTY: dict[str, Any] = {"text": "", "whole number": 0, "number": 0.0, "yes or no": False, "list": []}


def rows(table: str, *given: dict[str, Any]) -> pa.Table:
    """Rows of a table, with zeros for what is not given."""
    columns = {
        name: pa.array([row.get(name, EMPTY[kind]) for row in given], TYPES[kind])
        for name, kind in COLUMNS[table].items()
    }
    return pa.table(columns)


class World:
    """A world of ten days with factories 0.0, 0.1, 1.0, 2.0 and 2.1; 1.0 has ten lines, a cost of 2 and 4 in store."""

    def __init__(self, physics: str = "engine", **morning: Any) -> None:
        self.physics = physics
        self.morning = {"inventory": 4, "balance": 1000.0, **morning}
        self.decisions: list[dict[str, Any]] = []
        self.contracts: list[dict[str, Any]] = []
        self.days: dict[int, dict[str, Any]] = {}
        self.ended: dict[int, int] = {}

    def act(self, sequence: int, op: str, partner: str, quantity: int, delivery: int, price: float = 1.0, **more: Any):
        """1.0 accepts or offers."""
        row = {"day": 3, "factory": "1.0", "can_buy": True, "round": 1, **more}
        side = "sell" if partner > "1.0" else "buy"
        number = row.pop("negotiation", 10 * row["day"] + int(partner[0]) * 2 + int(partner[2]))
        what = {"op": op, "partner": partner, "side": side, "quantity": quantity, "delivery": delivery, "price": price}
        self.decisions.append({**row, **what, "sequence": sequence, "negotiation": number})
        return self

    def signed(
        self, sequence: int, seller: str, buyer: str, quantity: int, delivery: int, price: float = 0.0, **more: Any
    ):
        what = {"seller": seller, "buyer": buyer, "quantity": quantity, "delivery": delivery, "unit_price": price}
        self.contracts.append({"day": 0, "negotiation": -2, "nullified_day": -1, **what, "sequence": sequence, **more})
        return self

    def ends(self) -> dict[int, int]:
        """When each negotiation ended: with an END, or at night."""
        last = {row["negotiation"]: row for row in sorted(self.decisions, key=lambda row: row["sequence"])}
        night = 1 << 40
        return {n: row["sequence"] if row["op"] == "end" else night for n, row in last.items()} | self.ended

    def write(self, path: Path) -> Run:
        names = ("0.0", "0.1", "1.0", "2.0", "2.1")
        days = [
            {"factory": name, "day": day, **(self.morning | self.days.get(day, {}) if name == "1.0" else {})}
            for name in names
            for day in range(DAYS)
        ]
        factories = [
            {"factory": name, "level": int(name[0]), "policy": f"p{name}", "shield": "none", "lines": 10}
            | {"production_cost": 2.0, "bankrupt_day": -1}
            for name in names
        ]
        tables = {
            "worlds": rows("worlds", {"physics": self.physics, "days": DAYS}),
            "factories": rows("factories", *factories),
            "days": rows("days", *days),
            "decisions": rows("decisions", *self.decisions),
            "contracts": rows("contracts", *self.contracts),
            "negotiations": rows(
                "negotiations",
                *({"negotiation": number, "ended": end} for number, end in self.ends().items()),
            ),
        }
        for name, table in tables.items():
            folder = path / "tables" / name
            folder.mkdir(parents=True)
            pq.write_table(table, folder / "w.parquet")
        return Run(path.name, path)

    def audit(self, path: Path) -> Audit:
        return audit(self.write(path))

    def found(self, path: Path) -> dict[str, float]:
        """Kinds found, with their excess, alone and together."""
        return {finding.kind: finding.excess for finding in self.audit(path).findings}
