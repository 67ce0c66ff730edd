"""A factory's service is killed in the middle of its worlds."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.scml_remote import SERVICE, Remote, rows

TITLE = "kill -9 of a factory's service: the worlds end, the others' play is the same until then, defaults are counted"
WITHOUT = ("charging", "market", "matrix", "mpe")
LEVELS = ((SERVICE, "penguin", SERVICE), ("penguin", SERVICE, "as0"))
VICTIM, FACTORY = "factory_0", "0.0"
WORLDS = 4
DEADLINE = 0.1
Worlds = dict[str, list[dict[str, Any]]]


def run(quick: bool) -> list[Row]:
    """Kill it again and again, in other blocks and at other moments."""
    kills, days = (1, 8) if quick else (10, 30)
    ended = same = counted = alone = 0
    with tempfile.TemporaryDirectory() as folder:
        for kill in range(kills):
            calm, disturbed, summary = _kill(Path(folder) / str(kill), days, share=(kill + 1) / (kills + 1))
            ended += all(row["days"] == days for row in disturbed["worlds"]) and len(disturbed["worlds"]) == WORLDS
            substituted = [row for row in disturbed["decisions"] if row["substituted"]]
            decisions = {(row["world"], row["sequence"]) for row in substituted}
            told = sum(row["substituted"] for row in disturbed["worlds"])
            counted += 0 < len(decisions) == told == summary.substituted_actions
            alone += {row["factory"] for row in substituted} == {FACTORY}
            same += _same_before(calm, disturbed, substituted)
    names = {
        "kills after which all worlds were played to their last day": ended,
        "kills with all play identical until the first default answer": same,
        "kills whose default answers are counted alike in tables and summary": counted,
        "kills with default answers for the victim only": alone,
    }
    return [Row(name, [count], "", f"= {kills}", count == kills) for name, count in names.items()]


def _kill(folder: Path, days: int, share: float) -> tuple[Worlds, Worlds, Any]:
    """The same block undisturbed and with a kill after that share of its time."""
    with Remote(LEVELS, WORLDS, folder, days=days) as remote:
        remote.play(0)
        began = time.perf_counter()
        remote.play(1, track="calm")
        seconds = time.perf_counter() - began
        victim = remote.services[VICTIM]
        timer = threading.Timer(0.1 + 0.8 * share * seconds, victim.kill)
        timer.start()
        summary = remote.play(1, DEADLINE, track="disturbed")
        timer.join()
    calm, disturbed = (
        {table: rows(folder / name, table) for table in ("worlds", "decisions", "contracts")}
        for name in ("calm", "disturbed")
    )
    return calm, disturbed, summary


def _same_before(calm: Worlds, disturbed: Worlds, substituted: list[dict[str, Any]]) -> bool:
    """Whether decisions and contracts are identical in each world until its first default answer."""
    first: dict[str, int] = {}
    for row in substituted:
        first[row["world"]] = min(row["sequence"], first.get(row["world"], row["sequence"]))
    for table in ("decisions", "contracts"):
        before = [
            sorted(
                (tuple(row.values()) for row in found[table] if row["sequence"] < first.get(row["world"], 1 << 60)),
                key=repr,
            )
            for found in (calm, disturbed)
        ]
        if table == "contracts":  # whether a contract is nullified shows later
            before = [[row[:-1] for row in part] for part in before]
        if before[0] != before[1]:
            return False
    return True
