from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.scml import books
from analysis.scml.ledger import Ledger, by_factory, read
from analysis.scml.runs import Run
from analysis.scml.verdict import Audit, audit
from scml_engine.tracker import Tracker
from scml_engine.world import SeatSpec, WorldSpec, run_world

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning")  # the engine's own
DAYS = 25
LEVELS = (("penguin", "as0", "greedy"), ("penguin+123", "litayr", "cautious"), ("syncrandom", "penguin", "pricetrend"))


class Witness(Tracker):
    """A tracker that also notes what the engine tells each factory when it decides."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.told: dict[int, np.ndarray] = {}

    def decision(self, arena: Any, desk: Any, sequence: int, *rest: Any) -> None:
        super().decision(arena, desk, sequence, *rest)
        awi = arena.agents[arena.ids[desk.index]].awi
        today = awi.current_step
        ahead = range(today, today + 11)
        sales, supplies = map(awi.total_sales_at, ahead), map(awi.total_supplies_at, ahead)
        due = (sum(awi._future_supplies_cost.get(day, {}).values()) for day in ahead)
        told = np.array([list(sales), list(supplies), list(due)], float)
        told[0, 0] += awi.current_exogenous_output_quantity
        told[1, 0] += awi.current_exogenous_input_quantity
        told[2, 0] += awi.current_exogenous_input_price
        self.told[sequence] = np.append(told, [awi.current_balance, awi.current_inventory_input])


@pytest.fixture(scope="module", params=["engine", "conserving"])
def played(request, tmp_path_factory) -> tuple[Path, Witness]:
    path = tmp_path_factory.mktemp(request.param)
    witness = Witness(path, "w")
    seats = tuple(tuple(SeatSpec(policy) for policy in level) for level in LEVELS)
    run_world(WorldSpec(seed=11, days=DAYS, seats=seats, physics=request.param), tracker=witness)
    return path, witness


def ledger_of(path: Path) -> Ledger:
    return read(Run(path.name, path), "w")


def audited(path: Path) -> Audit:
    return audit(Run(path.name, path))


def test_the_books_are_what_the_engine_told_each_factory(played):
    path, witness = played
    ledger = ledger_of(path)
    contracts, compared = by_factory(ledger.contracts), 0
    # The engine goes on telling of contracts with a bankrupt factory, which are void.
    last = min((f.bankrupt_day for f in ledger.factories if f.bankrupt_day >= 0), default=DAYS)
    for factory in ledger.factories:
        book = books.reconstruct(ledger, factory, contracts[factory.factory], 11)
        for moment, acts in enumerate(book.decisions):
            if acts[0].day <= last:
                ours = [book.sales[moment], book.supplies[moment], book.due[moment]]
                mine = np.append(np.array(ours), [book.balance[moment], book.inventory[moment]])
                np.testing.assert_allclose(mine, witness.told[acts[0].sequence], err_msg=str(acts[0]))
                compared += 1
    assert compared > 1000


def test_each_day_settles_as_the_engine_settled_it(played):
    path, _ = played
    found = audited(path)
    assert found.disagreements == ()
    ledger = ledger_of(path)
    days = [day for mine in ledger.days.values() for day in mine]
    assert len(days) == DAYS * 9
    assert sum(day.produced > 0 for day in days) > 50
    assert sum(day.shortfall > 0 for day in days) > 5  # there was something to disagree about
    assert sum(tally.shortfall for tally in found.tallies) == sum(day.shortfall for day in days)


def test_free_units_are_those_of_a_stock_that_never_falls(played):
    path, _ = played
    ledger, found = ledger_of(path), audited(path)
    free = sum(tally.free for tally in found.tallies)
    assert free > 0 if ledger.physics == "engine" else free == 0
    for tally in found.tallies:
        assert tally.own + tally.nature == pytest.approx(tally.shortfall)
        assert tally.forced <= tally.nature + 1e-9
        assert sum(tally.kinds.values()) >= tally.unsafe_acts
