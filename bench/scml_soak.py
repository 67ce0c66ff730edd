"""Thousands of tiny worlds through workers that are replaced all the time, and an agent that never answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

from bench.processes import ROOT
from bench.report import Row
from bench.scml_runs import league

TITLE = "2,000 two-day worlds through workers that are replaced: none is lost; an endless agent is killed in time"
WORLDS = 2000
LIMIT = 5.0
"""Seconds a world with the endless agent may take."""
SLACK = 3.0
"""Seconds more until the runner has noticed, twice."""
ENDLESS = """
from scml.std import StdSyncAgent

class Endless(StdSyncAgent):
    def first_proposals(self):
        while True:
            pass

    def counter_all(self, offers, states):
        return {}
"""


def run(quick: bool) -> list[Row]:
    """Play the worlds, then one with the endless agent."""
    worlds = 60 if quick else WORLDS
    with tempfile.TemporaryDirectory() as folder:
        return [*_soak(Path(folder), worlds), *_endless(Path(folder))]


def _soak(folder: Path, worlds: int) -> list[Row]:
    flags = ("--pool", "penguin,syncrandom", "--levels", "2", "--per-level", "2")
    began = time.perf_counter()
    league(folder, "soak", ["penguin"], *flags, seeds=f"0:{worlds}", days=2)
    hours = (time.perf_counter() - began) / 3600
    table = pq.read_table(folder / "soak" / "results.parquet")
    played = {
        world
        for world, reason in zip(table["world"].to_pylist(), table["reason"].to_pylist(), strict=True)
        if reason is None
    }
    lost = worlds - len(played)
    return [
        Row(f"worlds lost of {worlds}", [lost], "", "= 0", lost == 0),
        Row("two-day worlds per hour", [worlds / hours], "1/h", "reported", True),
    ]


def _endless(folder: Path) -> list[Row]:
    (folder / "endless_agent.py").write_text(ENDLESS)
    arguments = ["league", "--policies", "endless_agent.Endless,penguin", "--pool", "penguin", "--seeds", "0:1"]
    arguments += ["--levels", "2", "--per-level", "2", "--days", "3", "--world-seconds", str(LIMIT), "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "scml_engine", *arguments, "--runs-dir", str(folder), "--name", "endless"],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.perf_counter() - began
    rows = {row["variant"]: row for row in json.loads(done.stdout)["rows"]}
    failed, other = rows["endless_agent.Endless"]["failed"], rows["penguin"]["failed"]
    allowed = 2 * (LIMIT + SLACK) + 20.0
    return [
        Row(
            "endless agent: its world recorded as failed, the other one played",
            [failed - other],
            "",
            "= 1",
            failed == 1 and not other,
        ),
        Row(
            "endless agent: seconds until the command ended, two attempts and start included",
            [seconds],
            "s",
            f"<= {allowed:g}",
            seconds <= allowed,
        ),
    ]
