"""Training for return as a person runs it: real processes, from the experiment file to the report."""

import csv
import json
import subprocess
import sys

from bench.processes import ROOT

SMALL = (
    "environment.config={max_cycles: 5}",
    "training.num_envs=8",
    "training.max_environment_steps=400",
    "training.evaluate_every=200",
    "training.evaluation.episodes=4",
    "training.evaluation.num_envs=2",
    "training.evaluation.environment.name=pettingzoo:mpe2.simple_spread_v3?continuous_actions=true&max_cycles=5",
    "training.learner={warmup: 80, batch_size: 32}",
)


def agora_run(folder, *settings):
    words = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "simple_spread.yaml")]
    for setting in settings:
        words += ["--set", setting]
    words += ["--runs-dir", str(folder), "--name", "spread"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110)


def test_from_the_experiment_to_the_learning_curve(tmp_path):
    done = agora_run(tmp_path, *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "spread"
    assert "mean return" in done.stdout and "NashConv" not in done.stdout
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kinds = [row["kind"] for row in rows]
    assert (kinds[0], kinds[-1], kinds.count("round"), kinds.count("evaluation")) == ("start", "end", 10, 3)
    last = [row for row in rows if row["kind"] == "evaluation"][-1]
    curve = list(csv.DictReader((run / "returns.csv").read_text().splitlines()))
    assert [row["environment_steps"] for row in curve] == ["0", "200", "400"]
    assert float(curve[-1]["agent_1"]) == last["returns"]["agent_1"] < 0.0
    processes = json.loads((run / "processes.json").read_text())
    assert set(processes) == {"registry", "env_server-0", "agents", "trainer"}
    page = (run / "report.html").read_text()
    assert "over 4 episodes at the last evaluation" in page and "Return of each agent" in page
    assert "NashConv" not in page.partition("<script")[0]
    assert "What they do" in page
    assert len(list((run / "trajectories").iterdir())) == 1  # the greedy episode that the report shows


def test_a_learner_that_does_not_fit_is_refused_with_those_that_would(tmp_path):
    done = agora_run(tmp_path, "training.algorithm=idqn", "training.evaluation.environment=null")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "idqn cannot learn mpe:simple_spread" in done.stderr and "learners that fit: " in done.stderr
    assert "maddpg" in done.stderr.partition("learners that fit: ")[2]
