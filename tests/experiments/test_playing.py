"""Runs that are finished are evaluated by real processes and kept; kept policies earn the same again."""

import json

import pytest

import experiments.__main__ as command
from bench.stored_runs import hold
from deploy.loading import load
from experiments import page, playing, running, stored
from tests.support.particles import spread_actors

STEPS, EPISODES = 1_000_000, 12


def on_the_batched_game(group, name, seed):
    """The experiment, judged on the game that it learns, which needs no workers."""
    file = running.experiment_file(group, name)
    return load(file, [f"seed={seed}", "training.evaluation.environment=null"])


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(playing, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(running, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(running, "FINAL_EPISODES", EPISODES)
    monkeypatch.setattr(running, "load_experiment", on_the_batched_game)
    monkeypatch.setattr(page.write_page, "__defaults__", (tmp_path / "results.md",))
    return tmp_path


def finished_run(folders):
    """What ``agora run`` leaves behind, with untrained actors."""
    configuration = stored.fingerprint(running.load_experiment("learners", "maddpg", 0))
    run = folders / "runs" / f"learners-maddpg-0-{configuration[:8]}"
    returns = {f"agent_{i}": -20.0 for i in range(3)}
    row = {"kind": "evaluation", "environment_steps": STEPS, "seconds": 5.0, "mean": -20.0, "standard_error": 1.0}
    row |= {"returns": returns, "standard_errors": returns, "versions": {agent: [1, 7] for agent in returns}}
    run.mkdir(parents=True)
    rows = [{**row, "environment_steps": 0}, row, row, {"kind": "end", "environment_steps": STEPS}]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    for agent, model in spread_actors().items():
        (run / "policies" / agent).mkdir(parents=True)
        (run / "policies" / agent / "1-7.onnx").write_bytes(model)


def test_a_finished_run_is_evaluated_kept_and_played_again(folders, capsys):
    finished_run(folders)
    assert command.main(["learners", "--names", "maddpg", "--seeds", "0"]) == 0
    kept = stored.read_training(stored.place("learners", "maddpg", 0))
    assert [point.environment_steps for point in kept.evaluations] == [0, STEPS]
    assert (kept.final.environment, kept.final.episodes) == ("mpe:simple_spread", EPISODES)
    assert -80.0 < kept.final.mean < -5.0
    assert kept.cpu_seconds is None  # of processes that ended before
    learner, replayed, changed, older = hold("learners", [("maddpg", "maddpg", -100.0)], quick=False)
    assert learner.values == [kept.final.mean] and not learner.holds  # one seed of three
    assert (replayed.values, changed.values) == ([0.0], [0.0]) and replayed.holds and changed.holds
    assert older.values == [0.0] and older.target == "for information"
    assert command.main(["learners", "--names", "maddpg", "--seeds", "0"]) == 0
    assert "maddpg, seed 0: kept already" in capsys.readouterr().out
    assert "| `maddpg` | 1 M |" in (folders / "results.md").read_text()


def test_an_unknown_experiment(capsys):
    with pytest.raises(SystemExit):
        command.main(["learners", "--names", "sarsa"])
    assert "expected some of iddpg, idqn, maddpg" in capsys.readouterr().err
