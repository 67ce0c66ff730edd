"""Same seed, same bytes: worlds repeated in other processes, and with factories behind agent services."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.report import Row
from bench.scml_remote import SERVICE, Remote, rows
from bench.scml_runs import finish, measure
from bench.scml_speed import CORES

TITLE = "same seed, same contracts, balances and offers: repeated, in a service or in the engine's process"
WITHOUT = ("charging", "market", "matrix", "mpe")
LEVEL = (SERVICE, "penguin", "as0", "syncrandom")
BLOCK = 20
"""Worlds of a block."""


def run(quick: bool) -> list[Row]:
    """Compare digests."""
    blocks, days = (1, 5) if quick else (5, 20)
    with tempfile.TemporaryDirectory() as folder:
        with Remote([LEVEL, LEVEL], BLOCK, Path(folder), days=days) as remote:
            seeds = [seed for block in range(blocks) for seed in remote.seeds(block)]
            for block in range(blocks):
                remote.play(block, track="two", workers=CORES)
                remote.play(block, track="one", workers=1)
        served = {
            name: {row["seed"]: row["digest"] for row in rows(Path(folder) / name, "worlds")} for name in ("two", "one")
        }
    first, again = _in_process(seeds, days), _in_process(seeds[::-1], days)
    return [
        _same("in other processes, in reverse order", first, again),
        _same("factories behind agent services, 2 processes play the worlds", first, served["two"]),
        _same("factories behind agent services, 1 process plays the worlds", first, served["one"]),
        Row(
            "distinct digests among the worlds",
            [len(set(first.values()))],
            "",
            f"= {len(seeds)}",
            len(set(first.values())) == len(seeds),
        ),
    ]


def _in_process(seeds: Sequence[int], days: int) -> dict[int, str]:
    processes = [measure(seeds[i::CORES], LEVEL * 2, (4, 4), days, "fast", "seat") for i in range(CORES)]
    return {row["seed"]: row["digest"] for process in processes for row in finish(process)}


def _same(name: str, first: dict[int, str], second: dict[int, str]) -> Row:
    same = sum(second.get(seed) == digest for seed, digest in first.items())
    return Row(
        f"{name}: worlds with identical digests", [same], "", f"= {len(first)}", same == len(first) == len(second)
    )
