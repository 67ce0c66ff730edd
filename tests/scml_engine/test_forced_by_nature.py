"""In random worlds of the real engine, what a shield leaves unsafe is exactly what nature's orders force.

Nature's orders come in the morning. What they force is worked out here from the engine's tables alone, day by day: what
was signed before that morning and nature's order, less what the day's material and lines make. Material that never came
since its supplier went bankrupt, and bills that cannot be paid, are causes of their own, whose days are not judged.
"""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from scml_engine.spec import SeatSpec, Shield, WorldSpec
from scml_engine.tracker import Tracker
from scml_engine.world import run_world

POLICIES = ["random", "untrained"]
WORLDS = st.builds(
    dict,
    seed=st.integers(0, 10_000),
    config_seed=st.integers(0, 10_000),
    days=st.integers(3, 7),
    shape=st.lists(st.integers(1, 3), min_size=2, max_size=3),
    policies=st.lists(st.sampled_from(POLICIES), min_size=3, max_size=3),
    physics=st.sampled_from(["engine", "conserving"]),
)
FEW = settings(
    max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow], database=None
)


class Day(NamedTuple):
    """One day of one factory, in units.

    Attributes:
        row: of the table.
        first, last: whether its level is.
        before, owed: to factories, signed before this day, and in all.
        makes: what material and lines allow.
        taken: by nature's orders of earlier days, at most.
        judged: whether nothing but its own word and nature's can make it short.
    """

    row: dict[str, Any]
    first: bool
    last: bool
    before: int
    owed: int
    makes: int
    taken: float
    judged: bool

    @property
    def nature(self) -> float:
        return float(self.row["exogenous_output_quantity"])

    @property
    def forced(self) -> float:
        """Short already in the morning, if nothing more is sold."""
        return max(0.0, self.before + self.nature - self.makes)


def played(shield: Shield, world: dict[str, Any]) -> list[Day]:
    seats = tuple(
        (SeatSpec(policy, shield),) * count for policy, count in zip(world["policies"], world["shape"], strict=False)
    )
    spec = WorldSpec(world["seed"], world["days"], seats, physics=world["physics"], config_seed=world["config_seed"])
    with tempfile.TemporaryDirectory() as folder:
        run_world(spec, tracker=Tracker(Path(folder), "w"))
        rows, signed = (
            pq.read_table(f"{folder}/tables/{name}/w.parquet").to_pylist() for name in ("days", "contracts")
        )
    before: Counter[tuple[str, int]] = Counter()
    owed, bought, bills, lost = before.copy(), before.copy(), before.copy(), set()
    for deal in signed:
        units, due = deal["quantity"], deal["delivery"]
        if deal["exogenous"]:
            continue
        if deal["nullified_day"] >= 0:
            lost |= {deal["buyer"], deal["seller"]}
            continue
        owed[deal["seller"], due] += units
        before[deal["seller"], due] += units * (deal["day"] < due)
        bought[deal["buyer"], due] += units
        bills[deal["buyer"], due] += units * deal["unit_price"]
    return [_day(row, len(seats) - 1, rows, before, owed, bought, bills, lost) for row in rows]


def _day(row, last_level, rows, before, owed, bought, bills, lost):
    name, key = row["factory"], (row["factory"], row["day"])
    makes = min(row["lines"], int(row["inventory"] + row["exogenous_input_quantity"]) + bought[key])
    costs = bills[key] + row["exogenous_input_price"] + makes * row["production_cost"]
    level = int(name.partition(".")[0])
    taken = sum(r["exogenous_output_quantity"] for r in rows if r["factory"] == name and r["day"] < row["day"])
    judged = name not in lost and row["balance"] >= costs
    return Day(row, level == 0, level == last_level, before[key], owed[key], makes, taken, judged)


@given(WORLDS)
@FEW
def test_covered_leaves_exactly_what_nature_forces(world):
    for day in played("covered", world):
        if not day.judged:
            continue
        assert day.row["shortfall"] == day.forced, day
        if not day.last:
            assert day.forced == 0, day
        else:
            # Only where stock is used up can nature have taken what was kept for what is due today.
            taken = 0 if world["physics"] == "engine" else day.taken
            assert day.before <= day.makes + taken and day.forced <= day.nature + taken, day


@given(WORLDS)
@FEW
def test_certain_leaves_beyond_the_lines_exactly_what_nature_forces(world):
    for day in played("certain", world):
        lines = day.row["lines"]
        beyond = max(0.0, day.owed + day.nature - lines)
        assert beyond == max(0.0, day.before + day.nature - lines), day
        assert beyond <= day.nature and (day.last or beyond == 0), day
        if day.first:  # it cannot buy, so what it agrees to today it must be able to make today
            material = day.row["inventory"] + day.row["exogenous_input_quantity"]
            owed = day.owed + day.nature
            assert max(0.0, owed - material) == max(0.0, day.before + day.nature - material), day


@pytest.mark.parametrize("seed", [0, 1])
def test_without_a_shield_more_is_left_than_nature_forces(seed):
    world = {"seed": seed, "config_seed": seed, "days": 7, "shape": [3, 3, 3], "policies": ["random"] * 3}
    days = [day for day in played("none", world | {"physics": "engine"}) if day.judged]
    assert any(day.row["shortfall"] > day.nature for day in days)
    assert any(day.owed + day.nature > max(day.row["lines"], day.before + day.nature) for day in days)


def test_worlds_have_days_to_judge_and_orders_that_force_something():
    world = {"seed": 3, "config_seed": 3, "days": 7, "shape": [3, 3], "policies": ["random"] * 2, "physics": "engine"}
    days = [day for day in played("covered", world) if day.judged]
    assert len(days) > 20
    assert any(day.forced > 0 for day in days) and any(day.owed > 0 for day in days)
