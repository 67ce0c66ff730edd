"""A small comparison, and what tests of comparisons share."""

from __future__ import annotations

import time

import pyarrow.parquet as pq

SMALL = {
    "policies": "greedy,syncrandom",
    "pool": "greedy,syncrandom,donothing",
    "seeds": "3:5",
    "days": 3,
    "levels": "2",
    "per_level": 2,
    "workers": 2,
    "name": "small",
}


def wait_for(what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def rows(run):
    """What does not depend on the clock."""
    return pq.read_table(run / "results.parquet").drop_columns(["seconds", "attempts"]).to_pylist()
