"""The same comparisons under both physics: stock that is never used up, as the engine has it, and stock that is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.scml_runs import audit, league

TITLE = "every comparison under both physics, with the units made without material"
VARIANTS = (
    "penguin",
    "penguin+1",
    "penguin+2",
    "penguin+3",
    "penguin+123",
    "as0",
    "penguin:certain",
    "as0:certain",
    "penguin+123:certain",
    "random:certain",
    "untrained:certain",
)
PHYSICS = ("engine", "conserving")


def run(quick: bool) -> list[Row]:
    """Play and audit the variants under each physics."""
    seeds, days = ("100:102", 15) if quick else ("100:120", 50)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for physics in PHYSICS:
            found = league(Path(folder), physics, VARIANTS, "--track", "--physics", physics, seeds=seeds, days=days)
            tallies = audit(Path(folder) / physics)["by_name"]
            for row in found["rows"]:
                rows += _rows(physics, row, tallies[row["variant"]])
    return rows


def _rows(physics: str, row: dict[str, Any], tally: dict[str, Any]) -> list[Row]:
    name = f"{physics}: {row['variant']}"
    free, unsafe = tally["free"] / tally["factories"], 100 * tally["unsafe_acts"] / tally["acts"]
    short = tally["shortfall"] / tally["factories"]
    conserves, shielded = physics == "conserving", row["shield"] != "none"
    low, high = row["diff_low"], row["diff_high"]
    interval = "" if low is None else f"; − penguin, 95 %: {low:+.4f} to {high:+.4f}"
    return [
        Row(f"{name}: score", [row["mean"]], "", f"reported{interval}", True),
        Row(f"{name}: unsafe acts", [unsafe], "%", "= 0" if shielded else "reported", not shielded or unsafe == 0),
        Row(f"{name}: short", [short], "units per factory", "reported", True),
        Row(
            f"{name}: free material",
            [free],
            "units per factory",
            "= 0" if conserves else "reported",
            not conserves or free == 0,
        ),
    ]
