"""``python -m bench``: the measurements that this project's claims rest on.

``python -m bench`` lists them with what is true of them now. ``python -m bench NAME`` runs one, prints its figures
beside their targets and writes ``bench/results/NAME.json`` with the hash of the code that it measured (see
``bench.sources``); with ``--quick`` it writes to ``runs/bench`` instead. It exits 0 if all hold, 1 if any falls short,
3 if any could not be measured. ``--stale`` lists what the present code makes worthless, and exits 1 if there is any.
``--readme`` marks the README's table.
"""

from __future__ import annotations

import argparse
import importlib
import math
import pkgutil
import sys
import time
from collections.abc import Sequence
from types import ModuleType

from rich.console import Console
from rich.table import Table

import bench
from bench import readme, stored
from bench.report import Row, Verdict, verdict
from bench.sources import Sources
from bench.stored import State

COLOURS = {Verdict.HOLDS: "green", Verdict.FALLS_SHORT: "red", Verdict.NOT_MEASURED: "yellow", stored.STALE: "yellow"}
EXITS = {Verdict.TOLD: 0, Verdict.HOLDS: 0, Verdict.FALLS_SHORT: 1, Verdict.NOT_MEASURED: 3}


def main(arguments: Sequence[str] | None = None) -> int:
    """List the measurements, run one, or tell which are stale; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure what the documentation claims. Exit codes: 0 all holds, 1 something falls short or is "
        "stale, 2 a mistake on this line, 3 something could not be measured, as another's software is not there.",
    )
    parser.add_argument("name", nargs="?", help="the measurement; without it all are listed")
    parser.add_argument(
        "--quick", action="store_true", help=f"a coarser answer within 50 seconds, written to {stored.QUICK}"
    )
    parser.add_argument(
        "--stale", action="store_true", help="list the results of other code than the present, the quickest first"
    )
    parser.add_argument("--readme", action="store_true", help="mark in the README's table what is true now")
    options = parser.parse_args(arguments)
    if options.name is not None and (options.stale or options.readme):
        parser.error("name: expected none beside --stale and --readme")
    if options.quick and options.name is None:
        parser.error("--quick: expected the name of a measurement beside it")
    found = measurements()
    console = Console()
    if options.name is None:
        return _tell(console, found, stale=options.stale, mark=options.readme)
    if options.name not in found:
        parser.error(f"name: expected one of {', '.join(found)}, got {options.name!r}")
    return _run(console, options.name, found[options.name], quick=options.quick)


def measurements() -> dict[str, ModuleType]:
    """The modules of this package that define ``TITLE`` and ``run(quick) -> list[Row]``."""
    names = sorted(info.name for info in pkgutil.iter_modules(bench.__path__) if not info.name.startswith("_"))
    modules = {name: importlib.import_module(f"bench.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "TITLE") and hasattr(module, "run")}


def _tell(console: Console, found: dict[str, ModuleType], *, stale: bool, mark: bool) -> int:
    states = stored.states(found)
    if mark:
        console.print(f"marked {readme.write(states)}", markup=False, soft_wrap=True)
    if stale:
        return _list_stale(console, states)
    if not mark:
        _list(console, found, states)
    return 0


def _list(console: Console, found: dict[str, ModuleType], states: dict[str, State]) -> None:
    table = Table("name", "what", "now", box=None, padding=(0, 2))
    for name, module in found.items():
        table.add_row(name, module.TITLE, _coloured(states[name].now))
    console.print(table)


def _list_stale(console: Console, states: dict[str, State]) -> int:
    found = {name: one for name, one in states.items() if one.to_be_run}
    if not found:
        console.print("every result is of the present code")
        return 0
    table = Table("name", "now", "measured", "took, s", box=None, padding=(0, 2))
    for name, one in sorted(found.items(), key=lambda item: (math.isnan(item[1].seconds), item[1].seconds)):
        took = "unknown" if math.isnan(one.seconds) else f"{one.seconds:,.0f}"
        table.add_row(name, one.now, one.date[:10], took)
    console.print(table)
    total = sum(one.seconds for one in found.values() if not math.isnan(one.seconds))
    console.print(f"{len(found)} to be run anew, {total / 60:,.0f} minutes: python -m bench NAME")
    return 1


def _run(console: Console, name: str, module: ModuleType, *, quick: bool) -> int:
    console.print(f"{name}: {module.TITLE}{' (quick)' if quick else ''}", markup=False)
    before = stored.measured(module, Sources())
    began = time.monotonic()
    rows: list[Row] = module.run(quick=quick)
    seconds = time.monotonic() - began
    _print(console, rows)
    after = stored.measured(module, Sources())
    path = stored.write(name, rows, before, after, quick=quick, seconds=seconds)
    console.print(f"written to {path}", markup=False, soft_wrap=True)
    if before != after:
        console.print(f"{name}: {stored.CHANGED}, so the result is stale", style="yellow")
    return EXITS[verdict(rows)]


def _print(console: Console, rows: Sequence[Row]) -> None:
    table = Table("what", box=None, padding=(0, 2))
    for title in ("median", "min – max", "repeats"):
        table.add_column(title, justify="right")
    table.add_column("target")
    table.add_column("verdict")
    for row in rows:
        spread = f"{min(row.values):.4g} – {max(row.values):.4g}" if row.values else ""
        figure = f"{row.median:.4g} {row.unit}".strip() if row.values else ""
        table.add_row(row.name, figure, spread, str(len(row.values)), row.target, _coloured(row.verdict))
    console.print(table)


def _coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{word}[/]" if colour else word


if __name__ == "__main__":
    sys.exit(main())
