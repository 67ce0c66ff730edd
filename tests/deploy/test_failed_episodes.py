"""Episodes that an environment fails in are counted and told by play, run and report; too many make the whole fail."""

import csv
import json
import subprocess
import sys

import pytest
import yaml

from agora.failures import Failures
from bench.processes import ROOT
from tests.env_server.pettingzoo.conftest import ZOO

COPIES, SEED = 40, 3
NAN = f"pettingzoo:{ZOO}:Faulty?kind=reward&at=2"
RAISES = f"pettingzoo:{ZOO}:Faulty?kind=step&at=2"


def agora(*words):
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert "Traceback" not in done.stderr
    return done


def play(game, *words):
    flags = ("--pettingzoo-module", ZOO, "--copies", str(COPIES), "--seed", str(SEED))
    return agora("play", game, *flags, *words)


def test_failed_episodes_leave_the_mean_and_are_told():
    """Episodes with an odd seed fail in step 2, after a reward of 1; the others pay 1 in each of four steps."""
    done = play(NAN, "--json", "--max-failed-share", "1")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert 0 < told["failed"] < COPIES and told["episodes"] == COPIES
    for values in told["returns"].values():
        assert values.count(None) == told["failed"] and set(values) == {None, 4.0}
    assert "in step 1" in told["first_failure"] and "reward: expected finite numbers" in told["first_failure"]


@pytest.mark.parametrize(("game", "cause"), [(NAN, "reward: expected finite"), (RAISES, "KeyError: 'no step today'")])
def test_too_many_make_play_fail(game, cause):
    done = play(game)
    assert done.returncode == 1
    assert f"of {COPIES} episodes failed; the first, copy " in done.stdout and cause in done.stdout
    assert "more than the allowed share of 0.1 (--max-failed-share)" in done.stderr and cause in done.stderr


def experiment(path, share):
    training = {
        "algorithm": "ippo",
        "learner": {"actor_hidden": [4], "critic_hidden": [4], "minibatches": 1},
        "num_envs": COPIES,
        "max_environment_steps": 400,
        "evaluation": {"episodes": COPIES, "num_envs": COPIES},
        "max_failed_share": share,
    }
    environment = {"name": NAN, "pettingzoo_modules": [ZOO]}
    file = path / "faulty.yaml"
    file.write_text(yaml.safe_dump({"environment": environment, "training": training, "agents": {"together": True}}))
    return file


def rows(folder, kind):
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in found if row["kind"] == kind]


def test_a_run_tells_them_everywhere(tmp_path):
    done = agora("run", str(experiment(tmp_path, 1.0)), "--runs-dir", str(tmp_path), "--name", "faulty")
    assert done.returncode == 0, done.stderr
    assert "failed episodes" in done.stdout and "episodes failed; the first, copy" in done.stdout
    folder = tmp_path / "faulty"
    (*_, last), evaluation = rows(folder, "round"), rows(folder, "evaluation")[-1]
    assert 0 < last["failed_episodes"] < last["played_episodes"] and "reward: expected" in last["first_failure"]
    assert evaluation["failed_episodes"] + evaluation["episodes"] == COPIES
    assert set(evaluation["returns"].values()) == {4.0}
    with (folder / "returns.csv").open() as file:
        assert {row["failed episodes"] for row in csv.DictReader(file)} == {str(evaluation["failed_episodes"])}
    page = (folder / "report.html").read_text()
    assert "episodes failed; the first" in page and f"failed in {evaluation['failed_episodes']} more" in page


def test_a_run_with_too_many_fails(tmp_path):
    done = agora("run", str(experiment(tmp_path, 0.1)), "--runs-dir", str(tmp_path), "--name", "faulty")
    assert done.returncode == 1
    assert "more than the allowed share of 0.1 (training.max_failed_share)" in done.stderr
    assert "reward: expected finite numbers" in done.stderr


def test_a_game_of_ones_own_that_pays_nan_is_to_blame_itself():
    done = agora("play", "nan", "--game", "nan=tests.support.tiny_game:PaysNan", "--copies", "3")
    assert done.returncode == 1
    assert "environment.rewards: expected finite numbers of the game, got nan for right in copy 2" in done.stderr


def test_shares():
    found = Failures()
    found.add(9, [])
    assert found.excess(0.0) == "" and str(found) == "0 of 9 episodes failed"
    found.add(1, ["copy 0 in step 1: why"])
    assert found.excess(0.1) == ""
    assert found.excess(0.09) == (
        "1 of 10 episodes failed; the first, copy 0 in step 1: why: more than the allowed share of 0.09"
    )
    found.add(1, ["copy 0 in step 2: another"])
    assert (found.episodes, found.failed, found.first) == (11, 2, "copy 0 in step 1: why")
