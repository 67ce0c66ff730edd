"""kill -9 of any one process at a random moment: the run finishes by itself, same result, nothing logged twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from bench.processes import ROOT
from bench.report import Row

TITLE = "kill -9 of any one process at a random moment: the run finishes by itself with the same result"
ALSO = ("examples/*.yaml",)
VICTIMS = ("trainer", "env_server-0", "agent-station_2", "registry")
BUDGET = 1_600
SETTINGS = (
    f"training.max_environment_steps={BUDGET}",
    "training.check_every=5",
    "training.epsilon=1e-12",
    "seed=3",
)
LIMIT_SECONDS = 180.0


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    Attributes:
        actions: the last check's joint action, per agent.
        rounds: rounds told, the last row of each.
        rows, distinct: rows of the log, and distinct (block, step, copy) among them.
        restarts: of all processes together.
        seconds: wall time.
    """

    actions: dict[str, list[float]]
    rounds: int
    rows: int
    distinct: int
    restarts: int
    seconds: float


def play(folder: Path, name: str, victim: str | None, steps: int = 0, delay: float = 0.0) -> Outcome:
    """Run the experiment; ``delay`` seconds after it learned from ``steps`` joint actions, kill ``victim``."""
    command = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "melbourne.yaml")]
    command += ["--runs-dir", str(folder), "--name", name]
    for setting in SETTINGS:
        command += ["--set", setting]
    start = time.monotonic()
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if victim is not None:
        _await_steps(folder / name, run, steps)
        time.sleep(delay)
        os.kill(_processes(folder / name)[victim]["pid"], signal.SIGKILL)
    _, said = run.communicate(timeout=LIMIT_SECONDS)
    if run.returncode:
        raise RuntimeError(f"{name}: exit code {run.returncode}: {said.decode()[-2000:]}")
    return _outcome(folder / name, time.monotonic() - start)


def _await_steps(run_folder: Path, run: subprocess.Popen[bytes], steps: int) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until and run.poll() is None:
        if any(row["kind"] == "round" and row["environment_steps"] >= steps for row in _metrics(run_folder)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{run_folder.name}: ended before {steps} joint actions")


def _processes(run_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run_folder / "processes.json").read_text())
    return found


def _metrics(run_folder: Path) -> list[dict[str, Any]]:
    path = run_folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def _outcome(run_folder: Path, seconds: float) -> Outcome:
    rows = _metrics(run_folder)
    table = duckdb.read_parquet(f"{run_folder}/trajectories/*.parquet")
    total = table.aggregate("count(*), count(distinct (block, step, copy))").fetchall()[0]
    restarts = sum(process["restarts"] for process in _processes(run_folder).values())
    checks = [row for row in rows if row["kind"] == "check"]
    rounds = len({row["round"] for row in rows if row["kind"] == "round"})
    return Outcome(checks[-1]["actions"], rounds, total[0], total[1], restarts, seconds)


def run(quick: bool) -> list[Row]:
    """Kill every kind of process in turn and compare with the undisturbed run."""
    draws = np.random.default_rng(0)
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        calm = play(Path(folder), "calm", None)
        for victim in VICTIMS[:1] if quick else VICTIMS:
            outcomes = [
                play(
                    Path(folder),
                    f"{victim}-{n}",
                    victim,
                    int(draws.integers(8 * BUDGET // 10)),
                    float(draws.uniform(0, 0.3)),
                )
                for n in range(1 if quick else 10)
            ]
            found += _rows(victim, calm, outcomes)
    return found


def _rows(victim: str, calm: Outcome, outcomes: list[Outcome]) -> list[Row]:
    count = len(outcomes)
    restarted = [float(o.restarts >= 1) for o in outcomes]
    once = [float(o.rows == o.distinct == calm.rows) for o in outcomes]
    gaps = [
        max(float(np.abs(np.subtract(o.actions[a], calm.actions[a])).max()) for a in calm.actions) for o in outcomes
    ]
    whole = [float(o.rounds == calm.rounds) for o in outcomes]
    extra = [o.seconds - calm.seconds for o in outcomes]
    return [
        Row(f"{victim} killed and started again", restarted, "share", f"1 ({count} kills)", all(restarted)),
        Row(f"{victim}: every row logged once", once, "share", "1", all(once)),
        Row(f"{victim}: all rounds done", whole, "share", "1", all(whole)),
        Row(f"{victim}: final prices against the undisturbed run", gaps, "share of bounds", "0", max(gaps) == 0.0),
        Row(f"{victim}: time lost", extra, "s", "for information", True),
    ]
