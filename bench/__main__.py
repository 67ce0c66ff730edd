"""``python -m bench``: the measurements that this project's claims rest on.

``python -m bench`` lists them, ``python -m bench NAME [--quick]`` runs one, prints its figures beside their targets,
writes ``bench/results/NAME.json`` and exits 0 if all hold, else 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

import bench
from bench import provenance
from bench.report import Row

RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """List the measurements or run one; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure what the documentation claims.")
    parser.add_argument("name", nargs="?", help="the measurement; without it all are listed")
    parser.add_argument("--quick", action="store_true", help="a coarser answer within 50 seconds")
    options = parser.parse_args(arguments)
    found = measurements()
    console = Console()
    if options.name is None:
        _list(console, found)
        return 0
    if options.name not in found:
        parser.error(f"name: expected one of {', '.join(found)}, got {options.name!r}")
    return _run(console, options.name, found[options.name], quick=options.quick)


def measurements() -> dict[str, ModuleType]:
    """The modules of this package that define ``TITLE`` and ``run(quick) -> list[Row]``."""
    names = sorted(info.name for info in pkgutil.iter_modules(bench.__path__) if not info.name.startswith("_"))
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE") and hasattr(module, "run")}


def _list(console: Console, found: dict[str, ModuleType]) -> None:
    table = Table("name", "what", box=None, padding=(0, 2))
    for name, module in found.items():
        table.add_row(name, module.TITLE)
    console.print(table)


def _run(console: Console, name: str, module: ModuleType, *, quick: bool) -> int:
    console.print(f"{name}: {module.TITLE}{' (quick)' if quick else ''}", markup=False)
    began = time.monotonic()
    rows: list[Row] = module.run(quick=quick)
    _print(console, rows)
    path = write(name, rows, quick=quick, seconds=time.monotonic() - began)
    console.print(f"written to {path}", markup=False, soft_wrap=True)
    return 0 if rows and all(row.holds for row in rows) else 1


def _print(console: Console, rows: Sequence[Row]) -> None:
    table = Table("what", box=None, padding=(0, 2))
    for title in ("median", "min – max", "repeats"):
        table.add_column(title, justify="right")
    table.add_column("target")
    table.add_column("verdict")
    for row in rows:
        spread = f"{min(row.values):.4g} – {max(row.values):.4g}"
        verdict = "[green]holds[/]" if row.holds else "[red]falls short[/]"
        figure = f"{row.median:.4g} {row.unit}".strip()
        table.add_row(row.name, figure, spread, str(len(row.values)), row.target, verdict)
    console.print(table)


def write(name: str, rows: Sequence[Row], *, quick: bool, seconds: float, folder: Path = RESULTS) -> Path:
    """Write a measurement's figures with where, when and of what they were taken; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    result = {
        "name": name,
        "command": f"python -m bench {name}{' --quick' if quick else ''}",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
        "seconds": round(seconds, 1),
        "holds": bool(rows) and all(row.holds for row in rows),
        "rows": [_as_dict(row) for row in rows],
    }
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _as_dict(row: Row) -> dict[str, Any]:
    figures = {"median": row.median, "min": min(row.values), "max": max(row.values), "values": row.values}
    return {"name": row.name, "unit": row.unit, **figures, "target": row.target, "holds": row.holds}


if __name__ == "__main__":
    sys.exit(main())
