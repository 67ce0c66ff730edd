"""Learners on the market as a person runs them: real processes, from the example to the tables of what happened."""

import csv
import json
import math
import subprocess
import sys

import pytest

from bench.processes import ROOT

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

SMALL = (
    "environment.config.steps=100",
    "training.num_envs=4",
    "training.max_environment_steps=800",
    "training.evaluate_every=0",
    "training.evaluation.episodes=4",
    "training.evaluation.num_envs=2",
)
SCRIPTED_RIVAL = "agents.overrides={maker_1: {policy: 'market:maker', parameters: {half_spread: 3}}}"


def agora(*words):
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *words], cwd=ROOT, capture_output=True, text=True, timeout=240
    )


def agora_run(example, folder, *settings):
    chosen = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return agora("run", str(ROOT / "examples" / f"{example}.yaml"), *chosen, "--runs-dir", str(folder), "--name", "run")


@pytest.mark.parametrize(
    ("example", "settings", "agents"),
    [
        ("market_maker", ("training.algorithm=idqn", "environment.config.flat=true"), ["maker_0"]),
        ("market_makers", (SCRIPTED_RIVAL, "training.algorithm=mappo"), ["maker_0", "maker_1"]),
    ],
)
def test_an_example_runs_to_its_learning_curve(tmp_path, example, settings, agents):
    done = agora_run(example, tmp_path, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    curve = list(csv.DictReader((tmp_path / "run" / "returns.csv").read_text().splitlines()))
    assert int(curve[-1]["environment_steps"]) == 800
    assert all(math.isfinite(float(curve[-1][agent])) for agent in agents)


def test_what_was_logged_is_told(tmp_path):
    done = agora_run("market_taker", tmp_path, "training.algorithm=maddpg", "training.log=true")
    assert done.returncode == 0, done.stdout + done.stderr
    told = agora("market", "quality", str(tmp_path / "run"), "--json")
    assert told.returncode == 0, told.stdout + told.stderr
    found = json.loads(told.stdout)
    assert [row["agent"] for row in found["agents"]] == ["trader_0"] and found["quality"]
