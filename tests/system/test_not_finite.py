"""A run whose learning ends in NaN, as a person runs it: one start, one sentence, exit code 1, and no report of it."""

import json
import subprocess
import sys

from bench.processes import ROOT

SMALL = (
    "environment.config={max_cycles: 5}",
    "training.num_envs=8",
    "training.max_environment_steps=4000",
    "training.evaluate_every=0",
    "training.evaluation.environment=null",
    "training.learner={warmup: 80, batch_size: 32, actor_rate: 1.0e+38, critic_rate: 1.0e+38}",
)


def test_a_run_that_learns_nan_ends_at_once_and_says_so(tmp_path):
    words = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "simple_spread.yaml")]
    words += [word for setting in SMALL for word in ("--set", setting)]
    words += ["--runs-dir", str(tmp_path), "--name", "spread"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "trainer: failed, and would fail in the same way again" in done.stderr
    assert "expected finite numbers, got" in done.stderr and "agent_0's policy" in done.stderr
    run = tmp_path / "spread"
    assert json.loads((run / "processes.json").read_text())["trainer"]["restarts"] == 0
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["kind"] for row in rows].count("start") == 1
    assert all(value == value for row in rows for value in row.get("losses", {}).values())
