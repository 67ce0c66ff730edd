"""The shield before random factories in the real engine, judged by the engine's own books.

A factory's shortfall has four causes: sales that it agreed to, nature's orders (last level only), material that never
came because its supplier went bankrupt, and bills that it cannot pay, so that it cannot make what it has material for.
"covered" rules out the first: a factory of the first or a middle level is short on no day without the last two, and one
of the last level by no more than nature ordered. "certain" rules out that a day's sales exceed the lines, and that a
first level, which cannot buy, agrees today to make today what it has no material for.
"""

from collections import defaultdict
from typing import Any

import pyarrow.parquet as pq
import pytest

from scml_engine.spec import SeatSpec, WorldSpec
from scml_engine.tracker import Tracker
from scml_engine.world import run_world

LEVELS, PLACES, DAYS = 3, 3, 8
SEEDS = [0, 1, 2]
PHYSICS = ["engine", "conserving"]


class Played:
    """A world's tables: the days of every factory, and the contracts between factories."""

    def __init__(self, folder, seed, shield, physics):
        seat = SeatSpec("random", shield)
        spec = WorldSpec(seed, DAYS, ((seat,) * PLACES,) * LEVELS, physics=physics)
        run_world(spec, tracker=Tracker(folder, "w"))
        names = ("days", "contracts")
        tables = {name: pq.read_table(folder / "tables" / name / "w.parquet").to_pylist() for name in names}
        self.days: list[dict[str, Any]] = tables["days"]
        self.contracts = [row for row in tables["contracts"] if not row["exogenous"]]
        self.lost, self.bills = defaultdict(int), defaultdict(float)
        self.owed_before, self.owed = defaultdict(int), defaultdict(int)
        for row in self.contracts:
            seller, buyer = (row["seller"], row["delivery"]), (row["buyer"], row["delivery"])
            if row["nullified_day"] >= 0:
                self.lost[row["buyer"]] += row["quantity"]
                continue
            self.owed[seller] += row["quantity"]
            self.owed_before[seller] += row["quantity"] * (row["day"] < row["delivery"])
            self.bills[buyer] += row["quantity"] * row["unit_price"]

    def can_pay(self, row) -> bool:
        bill = self.bills[row["factory"], row["day"]] + row["exogenous_input_price"]
        made = min(row["lines"], row["sold"])
        return row["balance"] >= bill + made * row["production_cost"]


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("seed", SEEDS)
def test_covered_sales_are_delivered(tmp_path, seed, physics):
    played = Played(tmp_path, seed, "covered", physics)
    judged = [row for row in played.days if played.can_pay(row) and not played.lost[row["factory"]]]
    assert len(judged) > LEVELS * PLACES * DAYS / 3
    for row in judged:
        assert row["shortfall"] <= row["exogenous_output_quantity"], row
    assert sum(row["produced"] for row in judged if row["factory"][0] != str(LEVELS - 1)) > 0


@pytest.mark.parametrize("physics", PHYSICS)
@pytest.mark.parametrize("seed", SEEDS)
def test_certain_shortfalls_are_never_agreed_to(tmp_path, seed, physics):
    played = Played(tmp_path, seed, "certain", physics)
    for row in played.days:
        owed = played.owed[row["factory"], row["day"]]
        assert owed <= row["lines"], row
        if row["factory"].startswith("0."):
            material = row["inventory"] + row["exogenous_input_quantity"]
            assert owed <= max(played.owed_before[row["factory"], row["day"]], material), row


@pytest.mark.parametrize("seed", SEEDS)
def test_without_a_shield_the_same_play_breaks_its_word(tmp_path, seed):
    played = Played(tmp_path, seed, "none", "engine")
    judged = [row for row in played.days if played.can_pay(row) and not played.lost[row["factory"]]]
    assert any(row["shortfall"] > row["exogenous_output_quantity"] for row in judged)
    assert any(played.owed[row["factory"], row["day"]] > row["lines"] for row in played.days)
