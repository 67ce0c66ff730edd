"""Results as they lie in ``bench/results``, and what is true of them now: a result of other code is *stale*."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from bench import provenance
from bench.report import Row, Verdict, verdict
from bench.sources import ROOT, Measured, Sources

RESULTS: Final = ROOT / "bench" / "results"
QUICK: Final = ROOT / "runs" / "bench"
"""Where coarse answers go: they are no results."""
STALE: Final = "stale"
NEVER: Final = "never measured"
CHANGED: Final = "changed while it was measured"
"""Instead of a hash, of code that was edited in the meantime."""


@dataclass(frozen=True)
class State:
    """What is known of a measurement.

    Attributes:
        now: a verdict's word, ``STALE`` or ``NEVER``.
        seconds: that the last run took; NaN if there was none.
        date: of the last run, empty if there was none.
    """

    now: str
    seconds: float = math.nan
    date: str = ""

    @property
    def to_be_run(self) -> bool:
        """Whether nothing is known of the present code."""
        return self.now in (STALE, NEVER)


def measured(module: ModuleType, sources: Sources) -> Measured:
    """What a measurement speaks of; see ``bench.sources``."""
    return sources.measured(module.__name__, getattr(module, "ALSO", ()), getattr(module, "WITHOUT", ()))


def state(path: Path, digest: str) -> State:
    """What is known of a measurement whose code has this hash now; results from before there were hashes are stale."""
    if not path.exists():
        return State(NEVER)
    found = json.loads(path.read_text())
    now = found["verdict"] if found.get("code") == digest else STALE
    return State(now, found["seconds"], found["date"])


def states(modules: Mapping[str, ModuleType], folder: Path | None = None) -> dict[str, State]:
    """What is known of every measurement."""
    sources, folder = Sources(), folder or RESULTS
    return {name: state(folder / f"{name}.json", measured(module, sources).digest) for name, module in modules.items()}


def write(name: str, rows: Sequence[Row], before: Measured, after: Measured, *, quick: bool, seconds: float) -> Path:
    """Write a measurement's figures with where, when and of what they were taken; returns the file.

    Args:
        name: of the measurement.
        rows: its figures.
        before: its code when it began.
        after: its code when it ended; if it is another, nobody knows what was measured, and the result is stale.
        quick: whether this is a coarse answer, which does not become the stored result.
        seconds: wall time.
    """
    folder = QUICK if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    result = {
        "name": name,
        "command": f"python -m bench {name}{' --quick' if quick else ''}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": provenance.commit(before.files),
        "code": before.digest if before == after else CHANGED,
        "machine": provenance.machine(),
        "seconds": round(seconds, 1),
        "verdict": verdict(rows),
        "holds": verdict(rows) in (Verdict.HOLDS, Verdict.TOLD),
        "rows": [_as_dict(row) for row in rows],
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _as_dict(row: Row) -> dict[str, Any]:
    spread = {"median": row.median, "min": min(row.values), "max": max(row.values)} if row.values else {}
    verdicts = {"target": row.target, "verdict": row.verdict, "holds": row.holds}
    return {"name": row.name, "unit": row.unit, **spread, "values": row.values, **verdicts}
