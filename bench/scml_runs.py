"""Supply-chain runs for measurements: leagues and their audits, as the commands that anyone can type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.processes import ROOT

POOL_SEEDS = "100:120"
"""The reference protocol: 20 worlds, 2 and 3 levels of 4 factories, 50 days, one focal seat per level."""


def command(module: str, *arguments: str) -> str:
    """Run ``python -m MODULE ...`` and return what it printed.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(
            f"python -m {module} {' '.join(arguments)}: exit code {done.returncode}: {done.stderr[-2000:]}"
        )
    return done.stdout


def league(
    folder: Path, name: str, policies: Sequence[str], *flags: str, seeds: str = POOL_SEEDS, days: int = 50
) -> dict[str, Any]:
    """Play a league; the contents of its ``league.json``.

    Args:
        folder: of runs.
        name: of the run.
        policies: POLICY or POLICY:SHIELD.
        flags: further flags of ``agora scml league``.
        seeds: FIRST:END.
        days: of every world.
    """
    said = command(
        "scml_engine",
        *("league", "--policies", ",".join(policies), "--seeds", seeds, "--days", str(days)),
        *("--runs-dir", str(folder), "--name", name, "--json", *flags),
    )
    found: dict[str, Any] = json.loads(said)
    return found


def audit(run: Path) -> dict[str, Any]:
    """Audit a tracked run; the contents of its ``audit.json``, with the focal factories' tallies under "by_name"."""
    command("analysis.scml.audit", str(run))
    found: dict[str, Any] = json.loads((run / "audit.json").read_text())
    found["by_name"] = {_name(tally): tally for tally in found["tallies"] if tally["focal"]}
    return found


def _name(tally: dict[str, Any]) -> str:
    shield = tally["shield"]
    return str(tally["policy"]) if shield == "none" else f"{tally['policy']}:{shield}"


def measure(
    seeds: Sequence[int], policies: Sequence[str], shape: tuple[int, ...], days: int, way: str, streams: str = "shared"
) -> subprocess.Popen[str]:
    """Start ``python -m scml_engine.measure``, which plays a world for each seed; see there."""
    words = ["--way", way, "--days", str(days), "--streams", streams, "--policies", *policies]
    words += ["--shape", *map(str, shape), "--seeds", *map(str, seeds)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "scml_engine.measure", *words],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What such a process printed, a dict for each world.

    Raises:
        RuntimeError: it failed.
    """
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"python -m scml_engine.measure: exit code {process.returncode}")
    return [json.loads(line) for line in said.splitlines()]
