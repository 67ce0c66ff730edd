"""Training in an environment of one's own that flags name: real processes, from the file to the resumed run."""

import json
import os
import subprocess
import sys

import yaml

from bench.processes import ROOT
from tests.support.docs import blocks

VARIABLES = {**os.environ, "PYTHONPATH": str(ROOT)}
EXPERIMENT = """
environment: {name: "pettingzoo:pond:Lake?boats=2&days=5"}
training: {algorithm: ippo, num_envs: 8, max_environment_steps: 80, evaluation: {episodes: 4, num_envs: 4}}
"""


def agora_run(folder, *flags, file="pond.yaml"):
    words = [sys.executable, "-P", "-m", "deploy.cli", "run", str(file), *flags]
    return subprocess.run(words, cwd=folder, env=VARIABLES, capture_output=True, text=True, timeout=300)


def test_flags_name_the_game_and_resume_needs_them_no_more(tmp_path):
    page = dict(blocks(ROOT / "docs" / "doors" / "host.md"))
    (tmp_path / "pond.py").write_text(page["python lake.py"])
    (tmp_path / "pond.yaml").write_text(EXPERIMENT)
    refused = agora_run(tmp_path)
    assert refused.returncode == 2 and "--pettingzoo-module" in refused.stderr
    done = agora_run(tmp_path, "--pettingzoo-module", "pond")
    assert done.returncode == 0, done.stdout + done.stderr
    run = tmp_path / "runs" / "pond"
    assert yaml.safe_load((run / "config.yaml").read_text())["environment"]["pettingzoo_modules"] == ["pond"]
    more = agora_run(tmp_path, "--resume", "--set", "training.max_environment_steps=160")
    assert more.returncode == 0, more.stdout + more.stderr
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [row["resumed"] for row in rows if row["kind"] == "start"] == [False, True]
    assert rows[-1]["kind"] == "end" and rows[-1]["environment_steps"] >= 160
    other = agora_run(tmp_path, "--resume", "--pettingzoo-module", "sea")
    assert other.returncode == 2 and "environment.pettingzoo_modules: expected ['pond'], got ['sea']" in other.stderr


def test_a_run_is_resumed_from_another_folder_where_its_module_can_be_found_and_not_elsewhere(tmp_path):
    page, game, other = dict(blocks(ROOT / "docs" / "doors" / "host.md")), tmp_path / "game", tmp_path / "other"
    game.mkdir()
    other.mkdir()
    (game / "pond.py").write_text(page["python lake.py"])
    (game / "pond.yaml").write_text(EXPERIMENT)
    done = agora_run(game, "--pettingzoo-module", "pond")
    assert done.returncode == 0, done.stdout + done.stderr
    again = ("--runs-dir", str(game / "runs"), "--resume", "--set", "training.max_environment_steps=160")
    lost = agora_run(other, *again, file=game / "pond.yaml")
    assert lost.returncode == 2 and "No module named 'pond'" in lost.stderr and "Traceback" not in lost.stderr
    (other / "pond.py").write_text(page["python lake.py"])
    more = agora_run(other, *again, file=game / "pond.yaml")
    assert more.returncode == 0, more.stdout + more.stderr
    assert (game / "runs" / "pond" / "report.html").exists() and not (other / "runs").exists()


def test_a_fault_of_the_game_is_told_and_its_log_is_kept(tmp_path):
    (tmp_path / "pond.yaml").write_text("environment: {name: own, config: {fault: build, kind: KeyError}}")
    done = agora_run(tmp_path, "--game", "own=tests.support.tiny_game:Faulty")
    assert done.returncode == 1 and "KeyError: 'a secret of the game'" in done.stderr
    log = tmp_path / "runs" / "pond" / "logs" / "env_server-0.log"
    assert str(log.relative_to(tmp_path)) in done.stderr and "Traceback" in log.read_text()
