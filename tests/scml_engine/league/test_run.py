"""Comparisons on the real engine, in real processes."""

from __future__ import annotations

import json
import os
import signal
from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy import stats

from scml_engine.league.errors import RefusedError
from scml_engine.league.folder import Folder
from tests.scml_engine.league.small import SMALL, rows, wait_for

SLOW = {"policies": "unruly.Slow,greedy", "seeds": "3:6", "workers": 1}


def tables(run, name):
    return {path.stem: pq.read_table(path).to_pylist() for path in (run / "tables" / name).glob("*.parquet")}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    from scml_engine.league.options import League
    from scml_engine.league.run import league

    runs = tmp_path_factory.mktemp("runs")
    assert league(League(**{**SMALL, "levels": "2,3", "seeds": "3:7"}, runs_dir=runs, track=True)) == 0
    return runs / "small"


def test_rows_say_what_the_tracker_saw(tracked):
    found = defaultdict(dict)
    for row in rows(tracked):
        found[row["world"]][row["factory"]] = row
    factories, worlds = tables(tracked, "factories"), tables(tracked, "worlds")
    assert found.keys() == factories.keys() == {f"{p}_s{s:04d}" for p in ("greedy", "syncrandom") for s in range(3, 7)}
    for world, seen in factories.items():
        assert set(found[world]) == {factory["factory"] for factory in seen if factory["focal"]}
        assert len(found[world]) == worlds[world][0]["levels"]
        for factory in seen:
            if factory["focal"]:
                row = found[world][factory["factory"]]
                same = ("level", "policy", "shield", "score", "shortfall", "free_units")
                assert [row[name] for name in same] == [factory[name] for name in same]
                assert row["balance"] == factory["final_balance"]
                assert row["bankrupt"] == (factory["bankrupt_day"] >= 0)
                level = [other["score"] for other in seen if other["level"] == factory["level"]]
                assert row["level_score"] == pytest.approx(np.mean(level))
                assert (row["digest"], row["seed"]) == (worlds[world][0]["digest"], worlds[world][0]["seed"])


def test_variants_are_paired(tracked):
    factories, contracts = tables(tracked, "factories"), tables(tracked, "contracts")
    conditions = {row["world"]: row["conditions"] for row in rows(tracked)}
    for seed in range(3, 7):
        one, other = f"greedy_s{seed:04d}", f"syncrandom_s{seed:04d}"
        assert conditions[one] == conditions[other]
        given = ("factory", "focal", "lines", "production_cost", "initial_balance", "suppliers", "consumers")
        assert [[f[name] for name in given] for f in factories[one]] == [
            [f[name] for name in given] for f in factories[other]
        ]
        assert {f["policy"] for f in factories[one] if f["focal"]} == {"greedy"}
        assert [f["policy"] for f in factories[one] if not f["focal"]] == [
            f["policy"] for f in factories[other] if not f["focal"]
        ]
        assert _nature(contracts[one]) == _nature(contracts[other]) != []
    assert len(set(conditions.values())) == 4


def _nature(contracts):
    given = ("day", "seller", "buyer", "quantity", "unit_price")
    return sorted(tuple(c[name] for name in given) for c in contracts if c["exogenous"])


def test_the_summary_is_what_the_rows_come_to(tracked):
    found = {row["variant"]: row for row in json.loads((tracked / "league.json").read_text())["rows"]}
    scores = defaultdict(dict)
    for row in rows(tracked):
        scores[row["variant"]][row["seed"], row["factory"], row["position"]] = row["score"]
    pairs = {key: scores["syncrandom"][key] - score for key, score in scores["greedy"].items()}
    assert len(pairs) == 2 * 2 + 2 * 3 == found["syncrandom"]["n"] == found["syncrandom"]["pairs"]
    assert found["syncrandom"]["diff"] == pytest.approx(np.mean(list(pairs.values())))
    assert found["syncrandom"]["mean"] == pytest.approx(np.mean(list(scores["syncrandom"].values())))
    assert found["greedy"]["diff"] == found["greedy"]["diff_high"] == 0
    last = [difference for (_, _, position), difference in pairs.items() if position == "last"]
    interval = stats.ttest_1samp(last, 0).confidence_interval()  # one factory per world: no clusters
    at_last = found["syncrandom"]["levels"]["last"]
    assert (at_last["diff_low"], at_last["diff_high"]) == pytest.approx((interval.low, interval.high))
    assert [found["greedy"]["levels"][name]["n"] for name in ("first", "middle", "last")] == [4, 2, 4]
    assert found["greedy"]["failed"] == found["greedy"]["substituted"] == 0


def test_a_run_says_what_it_is(tracked):
    about = json.loads((tracked / "run.json").read_text())
    assert about["kind"] == "league"
    assert about["arguments"]["levels"] == [2, 3]
    assert about["versions"]["scml"] == "0.8.4"


def test_worlds_that_hang_raise_or_die_are_recorded(play, capsys):
    policies = ["greedy", "unruly.Endless", "unruly.Raising", "unruly.Leaving"]
    code, run = play(policies=",".join(policies), seeds="3:4", world_seconds=10)
    reasons = {row["policy"]: row["reason"] for row in rows(run)}
    assert code == 1
    assert reasons["greedy"] is None
    assert reasons["unruly.Endless"] == "killed: not finished within 10 s"
    assert "OSError: out of paper" in reasons["unruly.Raising"]
    assert reasons["unruly.Leaving"] == "its process ended with code 4"
    assert {row["seed"] for row in rows(run)} == {3}
    assert [row["score"] is None for row in rows(run)] == [False] * 2 + [True] * 6
    found = json.loads((run / "league.json").read_text())["rows"]
    assert [(row["n"], row["failed"], row["mean"] is None) for row in found] == [(2, 0, False)] + [(0, 1, True)] * 3
    assert "unruly.Leaving_s0003 failed: its process ended with code 4" in capsys.readouterr().out


def test_resumed_after_a_kill_it_ends_as_if_undisturbed(command, tmp_path):
    disturbed = command(**SLOW)
    parts = tmp_path / "small" / "results"
    wait_for(lambda: len(list(parts.glob("*.parquet"))) >= 2)
    disturbed.send_signal(signal.SIGKILL)
    disturbed.wait()
    before = {path: path.stat().st_mtime_ns for path in parts.glob("*.parquet")}
    assert 2 <= len(before) < 6
    undisturbed = command(**{**SLOW, "workers": 2, "name": "whole"})
    assert undisturbed.wait(60) == 0, undisturbed.communicate()
    resumed = command("--resume", "--json", **{**SLOW, "workers": 2})
    out, _ = resumed.communicate(timeout=60)
    assert resumed.returncode == 0
    assert json.loads(out) == json.loads((tmp_path / "small" / "league.json").read_text())
    assert rows(tmp_path / "small") == rows(tmp_path / "whole")
    assert {path: path.stat().st_mtime_ns for path in before} == before  # nothing was played twice


def test_ctrl_c_stops_all_and_says_how_to_go_on(command, tmp_path):
    process = command(**SLOW)
    wait_for(lambda: list((tmp_path / "small" / "results").glob("*.parquet")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert "stopped by SIGINT; continue with:\n  agora scml league" in errors
    assert errors.rstrip().endswith("--resume")
    assert "Traceback" not in errors
    wait_for(lambda: not _group(process.pid))


def _group(leader):
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_run_is_not_played_over_and_not_continued_as_another(play):
    assert play()[0] == 0
    with pytest.raises(RefusedError, match=r"--name: expected a run that does not exist yet.*--resume, got .*small"):
        play()
    assert play(resume=True, workers=1, baseline="syncrandom")[0] == 0
    for field, value in {"days": 4, "seeds": "3:6", "pool": "greedy", "physics": "conserving", "track": True}.items():
        with pytest.raises(RefusedError, match=f"--resume: {field}: expected .*run.json, got"):
            play(resume=True, **{field: value})
    with pytest.raises(RefusedError, match=r"--resume: expected a run to continue, got .*other"):
        play(resume=True, name="other")


def test_a_run_has_one_runner(play, tmp_path):
    assert play()[0] == 0
    held = "--name: expected a run that nobody is running"
    with Folder(tmp_path / "small").locked(), pytest.raises(RefusedError, match=held):
        play(resume=True)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"days": 0}, "--days: expected 1 to 500, got 0"),
        ({"per_level": 0}, "--per-level: expected 1 to 100, got 0"),
        ({"workers": 0}, "--workers: expected 1 to 256, got 0"),
        ({"world_seconds": 0}, "--world-seconds: expected 0.001 to 86,400, got 0"),
        ({"world_seconds": float("nan")}, "--world-seconds: expected 0.001 to 86,400, got nan"),
        ({"baseline": "penguin"}, "--baseline: expected one of --policies, greedy, syncrandom, got 'penguin'"),
    ],
)
def test_bad_flags_leave_nothing_behind(play, tmp_path, changes, complaint):
    with pytest.raises(RefusedError, match=complaint):
        play(**changes)
    assert not list(tmp_path.iterdir())
