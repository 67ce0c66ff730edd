"""Training finds the equilibrium: both algorithms, both scenarios, through the real services, over seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.processes import ROOT
from bench.report import Row

TITLE = "training through the services finds the equilibrium, whatever the algorithm, scenario and seed"
ALSO = ("examples/melbourne.yaml",)
WITHOUT = ("market", "matrix", "mpe", "scml")
CASES = tuple((a, s) for a in ("maddpg", "mean_field_ddpg") for s in ("melbourne", "brief"))
BUDGET = 30_000
TARGETS = ((0.01, 10_000), (0.001, 30_000))
"""Verified NashConv as a share of total profit, and joint actions learned from until then."""
SECONDS = 120.0
SEEDS, NEEDED = 20, 18
SIDE_BY_SIDE = 2


@dataclass(frozen=True)
class Outcome:
    """How one run went.

    Attributes:
        reached: per target, joint actions learned from at the first check that met it; infinite if none did.
        seconds: wall time, processes' start and stop included.
    """

    reached: tuple[float, ...]
    seconds: float


def play(folder: Path, algorithm: str, scenario: str, seed: int) -> Outcome:
    """One run until 0.1 % or out of budget."""
    name = f"{algorithm}-{scenario}-{seed}"
    settings = {
        "seed": seed,
        "training.algorithm": algorithm,
        "training.max_environment_steps": BUDGET,
        "training.epsilon": TARGETS[-1][0],
        "environment.config.scenario": scenario,
    }
    command = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "melbourne.yaml")]
    command += ["--runs-dir", str(folder), "--name", name]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    start = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name}: exit code {done.returncode}: {done.stderr.decode()[-2000:]}")
    return Outcome(_reached(folder / name / "metrics.jsonl"), time.monotonic() - start)


def _reached(metrics: Path) -> tuple[float, ...]:
    rows: list[dict[str, Any]] = [json.loads(line) for line in metrics.read_text().splitlines()]
    checks = [row for row in rows if row["kind"] == "check"]
    return tuple(
        min((float(c["environment_steps"]) for c in checks if c["relative"] <= share), default=float("inf"))
        for share, _ in TARGETS
    )


def run(quick: bool) -> list[Row]:
    """Train every case on every seed; --quick: one seed of the first case."""
    seeds = 1 if quick else SEEDS
    cases = CASES[:1] if quick else CASES
    rows = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1 if quick else SIDE_BY_SIDE) as pool:
        jobs = {case: [pool.submit(play, Path(folder), *case, seed) for seed in range(seeds)] for case in cases}
        for (algorithm, scenario), running in jobs.items():
            rows += _rows(f"{algorithm}, {scenario}", [job.result() for job in running])
    return rows


def _rows(case: str, outcomes: list[Outcome]) -> list[Row]:
    needed = round(len(outcomes) * NEEDED / SEEDS)
    rows = []
    for number, (share, budget) in enumerate(TARGETS):
        steps = [o.reached[number] for o in outcomes]
        within = sum(count <= budget for count in steps)
        target = f"<= {budget:,} in {needed} of {len(outcomes)} seeds"
        name = f"{case}: joint actions to {share:.1%} ({within} of {len(outcomes)} within)"
        rows.append(Row(name, steps, "evaluations", target, within >= needed))
    slowest = [o.seconds for o in outcomes]
    rows.append(Row(f"{case}: wall time of a run", slowest, "s", f"<= {SECONDS:g} each", max(slowest) <= SECONDS))
    return rows
