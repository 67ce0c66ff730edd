"""Worlds per hour: the engine's own way, ours, and with factories played by agent services."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from agora.channels import connect_blocking
from agora.randomness import generator
from agora.v1 import environment_pb2, rollout_pb2, rollout_pb2_grpc
from bench.processes import ROOT, Service
from bench.report import Row
from env_server.rollout.runner import Block

TITLE = "worlds per hour: at least 4x the engine's own way, and what agent services leave of it"
FINALISTS = ("penguin", "as0", "cautious", "pricetrend", "ponpon", "takalink")
FACTORIES = 8
CORES = 2
GOAL = 10_000
DEADLINE = 5_000_000
"""Microseconds; none may be missed."""


def run(quick: bool) -> list[Row]:
    """Time all ways."""
    repeats, worlds = (1, 4) if quick else (5, 32)
    days = 10 if quick else 50
    rows = _own_way("2x4 Penguin", ("penguin",), (4, 4), days, repeats, judged=not quick)
    rows += _own_way("2x6 finalists", FINALISTS, (6, 6), days, min(repeats, 2), judged=False)
    played = [_per_hour(_measure_all([s], "penguin", days=days)) for s in _shares(range(2 * worlds), repeats)]
    rows.append(Row("2x4 Penguin, worlds per hour on 2 cores", played, "1/h", f">= {GOAL}", _at_least(played, GOAL, quick)))
    return rows + _services(worlds, days, repeats, judged=not quick)


def _own_way(name: str, policies: Sequence[str], shape: tuple[int, ...], days: int, repeats: int, judged: bool) -> list[Row]:
    """Pairs of the same world, once each way, one at a time."""
    ratios, differences = [], []
    for seed in range(repeats):
        default, fast = (_finish(_measure([seed], policies, shape, days, way))[0] for way in ("default", "fast"))
        ratios.append(default["seconds"] / fast["seconds"])
        differences.append(max(abs(a - b) for a, b in zip(default["scores"], fast["scores"], strict=True)))
    same = max(differences) < 1e-9
    return [
        Row(f"{name}: engine's own seconds / ours", ratios, "", ">= 4" if judged else "reported", not judged or statistics.median(ratios) >= 4),
        Row(f"{name}: largest difference of a score", differences, "", "= 0", same),
    ]


def _measure(
    seeds: Sequence[int], policies: Sequence[str], shape: tuple[int, ...], days: int, way: str, streams: str = "shared"
) -> subprocess.Popen[str]:
    words = ["--way", way, "--days", str(days), "--streams", streams, "--policies", *policies]
    words += ["--shape", *map(str, shape), "--seeds", *map(str, seeds)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "scml_engine.measure", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"python -m scml_engine.measure: exit code {process.returncode}")
    return [json.loads(line) for line in said.splitlines()]
