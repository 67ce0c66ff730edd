"""Worlds of the real engine: same results as its own, reproducible, and comparable between policies."""

import os
import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from scml.std import SCML2024StdWorld

from agora.negotiation.layout import Answer, Factory, Op
from scml_engine.policies import resolve
from scml_engine.spec import Reply, SeatSpec, WorldSpec
from scml_engine.tracker import Tracker
from scml_engine.world import configuration, run_world


def seats(*levels):
    return tuple(tuple(SeatSpec(policy) for policy in level) for level in levels)


MIXED = WorldSpec(5, 8, seats(("penguin", "greedy"), ("syncrandom", "as0"), ("cautious", "penguin")))


def ends(index, view):
    answers = np.zeros((len(view["slots"]), len(Answer)), np.int32)
    answers[:, Answer.OP] = Op.END
    return Reply(answers)


def table(folder, name, world="w"):
    return pq.read_table(folder / "tables" / name / f"{world}.parquet").to_pylist()


@pytest.mark.filterwarnings("ignore")
def test_scores_are_those_of_the_engines_own_world_with_its_own_settings(tmp_path):
    spec = replace(MIXED, streams="shared")
    config = configuration(spec)
    for slot, seat in zip(config["agent_params"], [s for level in spec.seats for s in level], strict=True):
        slot["controller_type"] = resolve(seat.policy)
    random.seed(spec.seed)
    np.random.seed(spec.seed)
    own = SCML2024StdWorld(**config, log_folder=str(tmp_path))
    own.run()
    assert run_world(spec).scores == pytest.approx(list(own.scores().values()), abs=1e-12)


def test_the_same_seed_gives_the_same_bytes_tracked_or_not(tmp_path):
    first = run_world(MIXED)
    assert first.days == 8 and not first.substituted
    assert run_world(MIXED, tracker=Tracker(tmp_path, "w")).digest == first.digest
    assert run_world(replace(MIXED, seed=6)).digest != first.digest


def test_another_policy_in_one_seat_leaves_nature_and_the_others_first_offers_as_they_were(tmp_path):
    other = replace(MIXED, seats=(*MIXED.seats[:2], seats(("donothing", "penguin"))[0]))
    for name, spec in (("a", MIXED), ("b", other)):
        run_world(spec, tracker=Tracker(tmp_path, name))
    nature = [[row for row in table(tmp_path, "contracts", world) if row["exogenous"]] for world in "ab"]
    for pair in zip(*nature, strict=True):
        first, second = ({k: v for k, v in row.items() if k not in ("world", "sequence")} for row in pair)
        assert first == second
    offers = []
    for world in "ab":
        today = [row for row in table(tmp_path, "decisions", world) if row["first"] and row["day"] == 0]
        rows = [row for row in today if row["factory"] == "2.1"]
        offers.append([(row["partner"], row["quantity"], row["delivery"], row["price"]) for row in rows])
    assert offers[0] == offers[1] and offers[0]


def test_books_follow_from_the_contracts(tmp_path):
    seen = []

    def watch(index, view):
        seen.append((int(view["factory"][Factory.DAY]), view["commitments"].copy()))
        return ends(index, view)

    spec = replace(MIXED, seats=(*MIXED.seats[:1], seats(("service", "as0"))[0], *MIXED.seats[2:]))
    run_world(spec, watch, Tracker(tmp_path, "w"))
    contracts = [row for row in table(tmp_path, "contracts") if not row["exogenous"] and row["nullified_day"] < 0]
    asked = sorted({row["sequence"] for row in table(tmp_path, "decisions") if row["factory"] == "1.0"})
    for sequence, (day, commitments) in zip(asked, seen, strict=True):
        for ahead in range(11):
            mine = [r for r in contracts if r["sequence"] <= sequence and r["delivery"] == day + ahead]
            bought = [r for r in mine if r["buyer"] == "1.0"]
            sold = [r for r in mine if r["seller"] == "1.0"]
            expected = [
                sum(r["quantity"] for r in bought),
                sum(r["quantity"] * r["unit_price"] for r in bought),
                sum(r["quantity"] for r in sold),
                sum(r["quantity"] * r["unit_price"] for r in sold),
            ]
            assert commitments[ahead].tolist() == expected
    assert seen


def test_a_slow_answer_changes_nothing():
    """The engine draws one more random number once a negotiation has run for a second."""
    waits = iter([1.2])

    def slow(index, view):
        time.sleep(next(waits, 0.0))
        return ends(index, view)

    spec = WorldSpec(3, 4, seats(("service", "penguin"), ("syncrandom", "penguin")), streams="shared")
    assert run_world(spec, slow).digest == run_world(spec, ends).digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seats": seats(("penguin",))}, "seats: expected at least two levels"),
        ({"days": 0}, "days: expected at least 1, got 0"),
        ({"physics": "real"}, "physics: expected one of engine, conserving, got 'real'"),
        ({"streams": "own"}, "streams: expected one of seat, shared, got 'own'"),
        ({"seats": ((SeatSpec("penguin", "thick"),), (SeatSpec("penguin"),))}, "shield: expected one of none, certain"),
        ({"seats": seats(("penguin",), ("nobody",))}, "nobody"),
    ],
)
def test_a_spec_that_cannot_be_played_is_refused_in_words(change, message):
    with pytest.raises(ValueError, match=message):
        run_world(replace(MIXED, **change))


def test_a_service_seat_without_anybody_behind_it_is_refused_in_words():
    with pytest.raises(ValueError, match="expected somebody who decides"):
        run_world(WorldSpec(1, 2, seats(("service",), ("penguin",))))


def test_processes_that_are_killed_leave_one_folder_between_them(tmp_path):
    code = """
import os, signal
from tests.scml_engine.test_world import MIXED, run_world
run_world(MIXED)
os.kill(os.getpid(), signal.SIGKILL)
"""
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TMPDIR": str(tmp_path)})
        assert done.returncode == -9
    assert len(list(tmp_path.glob("agora-*"))) == 1
