"""The stock defect of the engine, and the physics without it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from scml_engine.spec import SeatSpec, WorldSpec
from scml_engine.tracker import Tracker
from scml_engine.world import run_world

DOCUMENT = Path(__file__).parents[2] / "docs" / "scml-stock.md"
PENGUINS = ((SeatSpec("penguin"),) * 2,) * 3


def days(folder, physics):
    spec = WorldSpec(3, 12, PENGUINS, physics=physics)
    result = run_world(spec, tracker=Tracker(folder, "w"))
    rows = pq.read_table(folder / "tables" / "days" / "w.parquet").to_pylist()
    return result, {(row["factory"], row["day"]): row for row in rows}


def test_the_reproducer_in_the_docs_makes_more_than_was_bought(tmp_path):
    program = re.search(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL).group(1)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONHASHSEED": "0"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("day ")]
    stock, made = [int(row[3]) for row in rows], int(rows[-1][-1])
    assert len(rows) == 15 and len(set(stock)) == 1 and stock[0] > 0
    assert made > 20


def test_the_engines_stock_only_ever_grows_by_what_was_not_made(tmp_path):
    _, table = days(tmp_path, "engine")
    for (factory, day), row in table.items():
        if day:
            before = table[factory, day - 1]
            assert row["inventory"] == before["inventory"] + max(0, before["bought"] - before["produced"])


def test_conserving_stock_is_what_came_in_minus_what_was_made(tmp_path):
    result, table = days(tmp_path, "conserving")
    for (factory, day), row in table.items():
        assert row["produced"] <= row["inventory"] + row["bought"]
        if day:
            before = table[factory, day - 1]
            assert row["inventory"] == before["inventory"] + before["bought"] - before["produced"]
    assert result.free_units == (0.0,) * 6


def test_free_units_are_made_minus_received(tmp_path):
    result, table = days(tmp_path, "engine")
    for place, free in enumerate(result.free_units):
        mine = [row for (factory, _), row in table.items() if factory == f"{place // 2}.{place % 2}"]
        assert free == max(0, sum(row["produced"] - row["bought"] for row in mine))
    assert sum(result.free_units) > 0
