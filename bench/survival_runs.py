"""Runs whose processes are killed on the way, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pyarrow as pa
import pyarrow.dataset as ds
import yaml

from bench.processes import ROOT

LAUNCHER = "launcher"
LIMIT_SECONDS = 600.0
KEYS = ("block", "step", "copy")


@dataclass(frozen=True)
class Series:
    """An experiment, and who is killed in it.

    Attributes:
        name: of the series.
        experiment: as in its file.
        victims: one process of each kind.
    """

    name: str
    experiment: dict[str, Any]
    victims: tuple[str, ...]

    @property
    def budget(self) -> int:
        """Joint actions until the run ends."""
        return int(self.experiment["training"]["max_environment_steps"])


@dataclass(frozen=True)
class Kill:
    """SIGKILL for ``victim``, ``delay`` seconds after the run learned from ``steps`` joint actions.

    With 0 steps nothing is waited for but that the process is there: that is before the first round.
    """

    victim: str
    steps: int
    delay: float


@dataclass(frozen=True)
class Outcome:
    """How one run ended.

    Attributes:
        figures: what the run came to: the last check's joint action, or the last evaluation's returns.
        rounds: rounds told.
        folder: of the run.
        read: rows of the log as pandas reads the folder, as DuckDB reads the files, and distinct ones among them.
        early: kills that came before the first round was told.
    """

    figures: dict[str, Any]
    rounds: int
    folder: Path
    read: tuple[int, int, int]
    early: int


def play(folder: Path, name: str, series: Series, kills: Sequence[Kill] = ()) -> Outcome:
    """Run the experiment, kill, and go on with ``--resume`` where the launcher itself was killed.

    Raises:
        RuntimeError: the run ended in any other way than well, or before all kills were made.
    """
    file, run_folder = folder / f"{name}.yaml", folder / name
    file.write_text(yaml.safe_dump({"name": name, "restarts": 1000, **series.experiment}))
    command = [sys.executable, "-m", "deploy.cli", "run", str(file), "--runs-dir", str(folder), "--name", name]
    dead: set[int] = set()
    early = 0
    with _launched(command) as runs:
        for kill in kills:
            early += _strike(runs[-1], run_folder, kill, dead)
            if kill.victim == LAUNCHER:
                runs[-1].wait()
                dead |= {process["pid"] for process in _processes(run_folder).values()}
                runs.append(_launch([*command, "--resume"]))
        _, said = runs[-1].communicate(timeout=LIMIT_SECONDS)
        if runs[-1].returncode:
            raise RuntimeError(f"{name}: exit code {runs[-1].returncode}: {said.decode()[-2000:]}")
    return _outcome(run_folder, early)


@contextmanager
def _launched(command: list[str]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The launchers of a run, the last one alive; killed if the measurement fails."""
    runs = [_launch(command)]
    try:
        yield runs
    finally:
        runs[-1].kill()
        runs[-1].wait()


def _launch(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _strike(run: subprocess.Popen[bytes], run_folder: Path, kill: Kill, dead: set[int]) -> bool:
    """Wait for the moment and kill; whether no round had been told then."""
    until = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < until and run.poll() is None:
        rounds = [row["environment_steps"] for row in metrics(run_folder) if row["kind"] == "round"]
        pid = _pid(run, run_folder, kill.victim)
        if pid is not None and pid not in dead and (rounds[-1:] or [0])[0] >= kill.steps:
            time.sleep(kill.delay)
            dead.add(pid)
            with suppress(ProcessLookupError):  # it ended by itself in the meantime, as when its neighbour was killed
                os.kill(pid, signal.SIGKILL)
                return not rounds
        time.sleep(0.02)
    raise RuntimeError(f"{run_folder.name}: ended before {kill}")


def _pid(run: subprocess.Popen[bytes], run_folder: Path, victim: str) -> int | None:
    """The process's number, if it is there and all that it needs are."""
    processes = _processes(run_folder)
    if "trainer" not in processes:
        return None
    pid = run.pid if victim == LAUNCHER else processes[victim]["pid"]
    return pid if pid is not None and Path(f"/proc/{pid}").exists() else None


def _processes(run_folder: Path) -> dict[str, Any]:
    path = run_folder / "processes.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def metrics(run_folder: Path) -> list[dict[str, Any]]:
    """The rows that the trainer told, without one that is being written."""
    path = run_folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []


def _outcome(run_folder: Path, early: int) -> Outcome:
    told = metrics(run_folder)
    last = [row for row in told if row["kind"] in ("check", "evaluation")][-1]
    figures: dict[str, Any] = {
        key: last[key] for key in ("actions", "nash_conv", "returns", "environment_steps") if key in last
    }
    folder = run_folder / "trajectories"
    counts = "count(*), count(distinct (block, step, copy))"
    total, distinct = duckdb.read_parquet(f"{folder}/*.parquet").aggregate(counts).fetchall()[0]
    read = len(pandas.read_parquet(folder, columns=list(KEYS)))
    rounds = len({row["round"] for row in told if row["kind"] == "round"})
    return Outcome(figures, rounds, run_folder, (read, total, distinct), early)


def rows(run_folder: Path) -> pa.Table:
    """The log in order, without its run's name and the number of the trainer's life."""
    folder = run_folder / "trajectories"
    kept = [n for n in ds.dataset(folder).schema.names if n != "run" and not n.endswith(".policy_epoch")]
    table = ds.dataset(folder).to_table(kept).sort_by([(key, "ascending") for key in KEYS])
    return table.unify_dictionaries().combine_chunks()
