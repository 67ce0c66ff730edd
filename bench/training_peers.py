"""Learners of others beside ours: the same game, the same protocol, the same cores, one run.

All train ``simple_spread_v3`` (three agents, 25 cycles) until they have used their share of CPU-seconds, each in an
environment of its own, one at a time, in turns over seeds; evaluation is greedy, on mpe2, on the same episodes for all,
and is not counted. MADDPG has one update per 100 environment steps, batches of 1,024, two layers of 64, discount 0.95;
learning rates, noise and what else a peer decides are named in ``bench/peer_programs/train_NAME.py``. BenchMARL's MAPPO
and JaxMARL's IPPO have their own defaults. Ours and the textbook use one core; peers may use all that there are.
``make peers PEERS="benchmarl agilerl xuance jaxmarl"`` builds what they need; who is not there is not measured.
Curves are written to ``bench/results/training_peers_curves.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import training_speed
from bench.peers import INFORMATION
from bench.processes import ROOT
from bench.report import Row

TITLE = "training simple_spread beside BenchMARL, AgileRL, XuanCe, JaxMARL and a textbook MADDPG"
ALSO = (
    "bench/peers/agilerl.txt",
    "bench/peers/benchmarl.txt",
    "bench/peers/jaxmarl.txt",
    "bench/peers/xuance.txt",
)
WITHOUT = ("charging", "market", "matrix", "scml")
CURVES = ROOT / "bench" / "results" / "training_peers_curves.json"
VARIABLES = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
OURS = {"ours, MADDPG": ("maddpg", 400_000), "ours, MAPPO": ("mappo", 1_600_000)}
"""Algorithms that run beside peers, and the environment steps of each."""
QUICK_SHARE = 40
Point = dict[str, float]
Curve = list[Point]
"""Reports in order; each has steps, cpu_seconds, wall_seconds, return (per agent) and se (its standard error)."""


@dataclass(frozen=True)
class Peer:
    """A program of ``bench/peer_programs``.

    Attributes:
        name: to print.
        program: ``train_PROGRAM``, and the environment ``.peers/PROGRAM``.
        rival: which of ``OURS`` it is compared with.
        algorithm: which of the program's.
        quick: whether it says anything within seconds.
    """

    name: str
    program: str
    rival: str
    algorithm: str = "maddpg"
    quick: bool = True

    @property
    def python(self) -> Path | None:
        """Its interpreter; None if its environment was not built."""
        if self.program == "textbook":
            return Path(sys.executable)
        folder = ROOT / ".peers" / self.program
        return folder / "bin" / "python" if (folder / ".installed").exists() else None


PEERS = (
    Peer("BenchMARL MADDPG", "benchmarl", "ours, MADDPG"),
    Peer("AgileRL MADDPG", "agilerl", "ours, MADDPG"),
    Peer("XuanCe MADDPG", "xuance", "ours, MADDPG"),
    Peer("textbook MADDPG", "textbook", "ours, MADDPG"),
    Peer("BenchMARL MAPPO", "benchmarl", "ours, MAPPO", "mappo", quick=False),
    Peer("JaxMARL IPPO", "jaxmarl", "ours, MAPPO", "ippo"),
)


@dataclass(frozen=True)
class Effort:
    """How much of everything.

    Attributes:
        seeds: how often all train.
        cpu_seconds: of training, each time.
        reports: of a training.
        episodes: of an evaluation.
    """

    seeds: int
    cpu_seconds: float
    reports: int
    episodes: int


FULL, QUICK = Effort(3, 40.0, 8, 100), Effort(1, 1.0, 1, 10)


def train(peer: Peer, python: Path, effort: Effort, seed: int) -> Curve:
    """Run a peer's program once.

    Raises:
        RuntimeError: it failed.
    """
    command = [str(python), "-W", "ignore", "-m", f"bench.peer_programs.train_{peer.program}"]
    given = {"algorithm": peer.algorithm, "seed": seed, "cpu-seconds": effort.cpu_seconds}
    given |= {"reports": effort.reports, "episodes": effort.episodes}
    command += [word for name, value in given.items() for word in (f"--{name}", str(value))]
    variables = {**os.environ, **VARIABLES, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:  # where peers leave their logs
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{peer.name}: exit code {done.returncode}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"steps"')]


def ours(algorithm: str, steps: int, seed: int, effort: Effort) -> Curve:
    """Train ours in this process, on one core; what the first training compiles is not counted."""
    training_speed.curve(algorithm, 1, seed, episodes=2)
    found = training_speed.curve(algorithm, steps, seed, every=steps // effort.reports)
    return [
        {"steps": point.steps, "cpu_seconds": point.cpu_seconds, "wall_seconds": point.wall_seconds}
        | {"return": point.mean, "se": point.standard_error}
        for point in found
    ]


def run(quick: bool) -> list[Row]:
    """Train all in turns; --quick: a CPU-second of each, whose returns mean nothing."""
    effort = QUICK if quick else FULL
    peers = {peer: python for peer in PEERS if (python := peer.python) and (peer.quick or not quick)}
    curves: dict[str, list[Curve]] = {name: [] for name in [*OURS, *(peer.name for peer in peers)]}
    for seed in range(effort.seeds):
        for name, (algorithm, steps) in OURS.items():
            curves[name].append(ours(algorithm, steps // (QUICK_SHARE if quick else 1), seed, effort))
        for peer, python in peers.items():
            curves[peer.name].append(train(peer, python, effort, seed))
    if not quick:
        CURVES.write_text(json.dumps(curves, indent=1) + "\n")
    absent = [_absent(peer, quick) for peer in PEERS if peer not in peers]
    return [*_ratios(curves), *absent, *(row for name, found in curves.items() for row in _rows(name, found))]


def _absent(peer: Peer, quick: bool) -> Row:
    why = f'not there; make peers PEERS="{peer.program}" builds it'
    if peer.python is not None and quick:
        why = "its first report takes longer than a quick answer"
    return Row.missing(f"{peer.rival} / {peer.name}", INFORMATION, why)


def _rate(curve: Curve, clock: str) -> float:
    return curve[-1]["steps"] / curve[-1][clock]


def _ratios(curves: dict[str, list[Curve]]) -> list[Row]:
    rows = []
    for peer in PEERS:
        pairs = list(zip(curves[peer.rival], curves.get(peer.name, []), strict=False))
        for clock in ("cpu_seconds", "wall_seconds"):
            values = [_rate(mine, clock) / _rate(theirs, clock) for mine, theirs in pairs]
            if values:
                unit = "CPU-second" if clock == "cpu_seconds" else "second of wall time"
                rows.append(Row(f"{peer.rival} / {peer.name}, steps per {unit}", values, "x", INFORMATION, True))
    return rows


def _rows(name: str, curves: list[Curve]) -> list[Row]:
    figures = {
        f"{name}: steps per CPU-second": [_rate(curve, "cpu_seconds") for curve in curves],
        f"{name}: steps per second of wall time": [_rate(curve, "wall_seconds") for curve in curves],
    }
    if "compile_wall_seconds" in curves[0][0]:
        figures[f"{name}: steps per second of wall time, compiling included"] = [
            curve[-1]["steps"] / (curve[-1]["wall_seconds"] + curve[-1]["compile_wall_seconds"]) for curve in curves
        ]
    rows = [Row(what, values, "steps/s", INFORMATION, True) for what, values in figures.items()]
    return [*rows, _return(name, curves)]


def _return(name: str, curves: list[Curve]) -> Row:
    ends = [curve[-1] for curve in curves]
    steps, cpu, se = (statistics.median(end[key] for end in ends) for key in ("steps", "cpu_seconds", "se"))
    what = f"{name}: return per agent after {cpu:.0f} CPU-s ({steps:,.0f} steps; standard error {se:.2f})"
    return Row(what, [end["return"] for end in ends], "", INFORMATION, True)
