"""A learner of greedy policies in a game without a pure equilibrium must say so: real processes, to the report."""

import json
import subprocess
import sys

from bench.processes import ROOT

EXPERIMENT = """
name: pennies
environment: {name: matrix, config: {game: matching_pennies}}
agents: {together: true}
training:
  algorithm: idqn
  learner: {warmup: 64, batch_size: 32, steps_per_update: 32, share: false}
  num_envs: 32
  max_environment_steps: 320
  evaluate_every: 0
  evaluation: {episodes: 4, num_envs: 4}
"""


def test_no_pure_equilibrium_is_told_where_there_is_none(tmp_path):
    (tmp_path / "pennies.yaml").write_text(EXPERIMENT)
    words = [sys.executable, "-m", "deploy.cli", "run", str(tmp_path / "pennies.yaml"), "--runs-dir", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "pennies"
    end = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert end["reason"] == "budget" and sorted(end["regrets"].values()) == [0.0, 2.0]
    assert end["verdict"].startswith("no pure equilibrium found: ") and end["verdict"].endswith("the game has none")
    assert "no pure equilibrium found" in done.stdout
    assert "no pure equilibrium found" in (run / "report.html").read_text()
