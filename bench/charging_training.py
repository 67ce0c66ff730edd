"""Training finds the equilibrium: both algorithms, both scenarios, through the real services, over seeds."""

from __future__ import annotations

import itertools
import json
import math
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
        evaluated: the same with all that the checks had evaluated until then, to verify what they found.
        seconds: wall time, processes' start and stop included.
    """

    reached: tuple[float, ...]
    evaluated: tuple[float, ...]
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
    seconds = time.monotonic() - start
    return Outcome(*reached((folder / name / "metrics.jsonl").read_text()), seconds)


def reached(metrics: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per target, joint actions until the first check that met it: learned from, and all that were evaluated.

    Args:
        metrics: lines of a run's ``metrics.jsonl``. Proposals of a check that were learned from too count twice in the
            second figure.
    """
    rows: list[dict[str, Any]] = [json.loads(line) for line in metrics.splitlines()]
    checks = [row for row in rows if row["kind"] == "check"]
    spent = itertools.accumulate(check["evaluations"] for check in checks)
    told = [(c["relative"], float(c["environment_steps"]), float(more)) for c, more in zip(checks, spent, strict=True)]
    learned, evaluated = [], []
    for share, _ in TARGETS:
        met = next(((steps, steps + more) for relative, steps, more in told if relative <= share), (math.inf, math.inf))
        learned.append(met[0])
        evaluated.append(met[1])
    return tuple(learned), tuple(evaluated)


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
        target = f"<= {budget:,} in {needed} of {len(outcomes)} seeds"
        for what, steps in (
            ("joint actions learned from", [o.reached[number] for o in outcomes]),
            ("all evaluations, the checks' too,", [o.evaluated[number] for o in outcomes]),
        ):
            within = sum(count <= budget for count in steps)
            name = f"{case}: {what} to {share:.1%} ({within} of {len(outcomes)} within)"
            rows.append(Row(name, steps, "evaluations", target, within >= needed))
    slowest = [o.seconds for o in outcomes]
    rows.append(Row(f"{case}: wall time of a run", slowest, "s", f"<= {SECONDS:g} each", max(slowest) <= SECONDS))
    return rows
