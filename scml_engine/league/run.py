# SPDX-License-Identifier: AGPL-3.0-or-later
"""``agora scml league``: plays a plan's worlds in a pool of processes, and goes on where it was stopped."""

from __future__ import annotations

import json
import os
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from agora import terminal
from agora.ranges import DAY, SHORTEST, range_missed
from scml_engine.league import results, summary
from scml_engine.league.errors import EXIT_FAILED, RefusedError, Stopped
from scml_engine.league.folder import Folder, create, reopen, write_json
from scml_engine.league.options import League
from scml_engine.league.plan import Plan, World, parse_levels, parse_pool, parse_seeds, parse_variants
from scml_engine.league.pool import Task, run_many
from scml_engine.league.progress import Bar
from scml_engine.spec import WorldResult

BOUNDS: Final = {"days": (1, 500), "per_level": (1, 100), "workers": (1, 256), "world_seconds": (SHORTEST, DAY)}
"""Of what flags may ask for."""
FILE_WIDTH = 120
"""Columns of the tables where they are not printed to a terminal."""


def league(options: League) -> int:
    """Play, and print the table; see ``agora scml league --help``.

    Returns:
        The exit code.

    Raises:
        RefusedError: a flag is wrong.
        Stopped: by a signal; what was played is kept.
    """
    plan, baseline = _plan(options)
    path, arguments = options.runs_dir / options.name, _arguments(plan, options.track)
    folder = reopen(path, arguments) if options.resume else create(path, "league", arguments)
    with folder.locked():
        try:
            _play(plan, folder, options)
        except Stopped as stopped:
            _say_how_to_go_on(stopped, folder)
            raise
        table = results.merge(folder.parts, plan.worlds())
        results.write(table, folder.results)
        found = summary.summarise(table, plan, baseline)
        write_json(folder.league, found)
    _show(found, table, folder, options.json)
    return EXIT_FAILED if any(row["failed"] for row in found["rows"]) else 0


def play(world: World, run: Path, track: bool) -> WorldResult:
    """Play one world, in a worker.

    Raises:
        RuntimeError: the engine stopped before the last day.
    """
    from scml_engine.tracker import Tracker
    from scml_engine.world import run_world

    tracker = Tracker(run, world.name, world.variant.name, world.factories) if track else None
    result = run_world(world.spec, tracker=tracker)
    if result.days != world.spec.days:
        raise RuntimeError(f"days: expected {world.spec.days}, but the engine stopped after {result.days}")
    return result


def _plan(options: League) -> tuple[Plan, str]:
    """What to play, and the baseline's name."""
    for flag, (least, most) in BOUNDS.items():
        value = getattr(options, flag)
        if value is not None and (expected := range_missed(value, least, most)):
            raise RefusedError(f"--{flag.replace('_', '-')}", expected, value)
    seeds, levels = parse_seeds(options.seeds), parse_levels(options.levels)
    variants, pool = parse_variants(options.policies), parse_pool(options.pool)
    names = [variant.name for variant in variants]
    if options.baseline is not None and options.baseline not in names:
        raise RefusedError("--baseline", f"one of --policies, {', '.join(names)}", repr(options.baseline))
    plan = Plan(variants, pool, seeds, options.days, levels, options.per_level, options.physics)
    return plan, options.baseline or names[0]


def _arguments(plan: Plan, track: bool) -> dict[str, Any]:
    """All that results depend on."""
    return {
        "policies": [variant.name for variant in plan.variants],
        "pool": list(plan.pool),
        "seeds": f"{plan.seeds.start}:{plan.seeds.stop}",
        "days": plan.days,
        "levels": list(plan.levels),
        "per_level": plan.per_level,
        "physics": plan.physics,
        "track": track,
    }


def _play(plan: Plan, folder: Folder, options: League) -> None:
    worlds = {world.name: world for world in plan.worlds()}
    done = {name for name in worlds if (folder.parts / f"{name}.parquet").exists()}
    tasks = [Task(name, play, (worlds[name], folder.path, options.track)) for name in worlds if name not in done]
    workers = options.workers or len(os.sched_getaffinity(0))
    bar = Bar(terminal.console(stderr=True), len(worlds), len(done))
    with bar, closing(run_many(tasks, workers, options.world_seconds, preload=_modules(plan))) as outcomes:
        for outcome in outcomes:
            results.write(results.rows(worlds[outcome.key], outcome), folder.parts / f"{outcome.key}.parquet")
            bar.advance(bool(outcome.error))


def _modules(plan: Plan) -> list[str]:
    """Where the policies' classes are, so that a fresh process for each world need not import them."""
    from scml_engine.policies import resolve

    names = {*plan.pool, *(variant.policy for variant in plan.variants)}
    return sorted({resolve(name).__module__ for name in names})


def _say_how_to_go_on(stopped: Stopped, folder: Folder) -> None:
    again = shlex.join(["agora", "scml", *(word for word in sys.argv[1:] if word != "--resume"), "--resume"])
    text = f"{folder.path}: stopped by {stopped}; continue with:\n  {again}"
    terminal.console(stderr=True).print(text, soft_wrap=True)


def _show(found: dict[str, Any], table: pa.Table, folder: Folder, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    console = terminal.console()
    if not console.is_terminal:
        console = terminal.console(width=FILE_WIDTH)
    for part in summary.tables(found):
        console.print(part)
    console.print(summary.legend(found), style="dim")
    worlds = dict(zip(table["world"].to_pylist(), table["reason"].to_pylist(), strict=True))
    for world, reason in worlds.items():
        if reason is not None:
            console.print(f"{world} failed: {reason}", style="red", soft_wrap=True)
    console.print(f"{folder.results} and {folder.league}", soft_wrap=True)
