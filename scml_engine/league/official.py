# SPDX-License-Identifier: AGPL-3.0-or-later
"""``agora scml official``: the engine's own tournament, for numbers that others can repeat with it alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from agora import terminal
from agora.ranges import range_missed
from agora.terminal import complain
from scml_engine.league.errors import EXIT_FAILED, RefusedError
from scml_engine.league.folder import Folder, create, write_json
from scml_engine.league.options import Official
from scml_engine.league.plan import parse_variants
from scml_engine.league.pool import ENVIRONMENT
from scml_engine.league.progress import Bar

FEWEST_STEPS = 5
"""The engine looks for prices of its p-th product from day p on, and its longest chains have p = 0 to 4."""
BOUNDS: Final = {"configs": (1, 10_000), "steps": (FEWEST_STEPS, 500), "seed": (0, 2**32 - 1)}
"""Of what flags may ask for; the seed is NumPy's."""
PARALLELISM = re.compile(r"serial|parallel(:(0?\.\d+|1(\.0+)?))?")
"""What the engine understands, less its synonyms; anything else it takes without a word and plays nothing."""


def official(options: Official) -> int:
    """Play, and print the table; see ``agora scml official --help``.

    Returns:
        The exit code.

    Raises:
        RefusedError: a flag is wrong.
    """
    _check_numbers(options)
    _begin_anew(options.seed)
    competitors = _competitors(options)
    arguments = {
        "policies": list(competitors),
        "configs": options.configs,
        "competitors_per_world": options.competitors_per_world,
        "steps": options.steps,
        "seed": options.seed,
    }
    folder = create(options.runs_dir / options.name, "official", arguments)
    with folder.locked():
        found = _play(competitors, folder, options)
    write_json(folder.official, found)
    _show(found, folder, options.json)
    if found["failed"] or not found["rows"]:
        text = f"{found['failed']} worlds failed; see {folder.official_logs / 'output.log'}"
        complain(text)
        return EXIT_FAILED
    return 0


def _check_numbers(options: Official) -> None:
    for flag, (least, most) in BOUNDS.items():
        value = getattr(options, flag)
        if value is not None and (expected := range_missed(value, least, most)):
            raise RefusedError(f"--{flag}", expected, value)


def _begin_anew(seed: int) -> None:
    """Start this command again, with what must be there before the interpreter and the engine are."""
    needed = {**ENVIRONMENT, "NEGMAS_RAND_SEED": str(seed)}
    if any(os.environ.get(name) != value for name, value in needed.items()):
        command = [sys.executable, "-m", "scml_engine", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **needed})  # noqa: S606  # the same command again


def _competitors(options: Official) -> dict[str, type]:
    """Classes by policy, after all flags were looked at."""
    from scml_engine.league.entrants import entrant

    variants = parse_variants(options.policies)
    for variant in variants:
        if variant.shield != "none":
            raise RefusedError("--policies", "policies without shields, which need our worlds", repr(variant.name))
    if not 2 <= options.competitors_per_world <= len(variants):
        expected = f"from 2 to the number of policies, {len(variants)}"
        raise RefusedError("--competitors-per-world", expected, options.competitors_per_world)
    if not PARALLELISM.fullmatch(options.parallelism):
        raise RefusedError("--parallelism", "serial, parallel or parallel:FRACTION", repr(options.parallelism))
    return {variant.name: entrant(variant.policy) for variant in variants}


def _play(competitors: dict[str, type], folder: Folder, options: Official) -> dict[str, Any]:
    """The engine's table with our names."""
    from negmas.helpers import get_full_type_name
    from scml.utils import anac2024_std

    folder.official_logs.mkdir()
    steps = {} if options.steps is None else {"n_steps": options.steps}
    with _output_to(folder.official_logs / "output.log") as console, Bar(console, None) as bar:
        _stop_at_once(console)
        results = anac2024_std(
            competitors=list(competitors.values()),
            n_configs=options.configs,
            n_competitors_per_world=options.competitors_per_world,
            parallelism=options.parallelism,
            tournament_path=folder.official_logs.resolve(),
            tournament_progress_callback=lambda result, _, total: bar.advance(result is None, total),
            forced_logs_fraction=0.0,
            compact=True,
            **steps,
        )
    names = {get_full_type_name(kind): name for name, kind in competitors.items()}
    return {**_table(results, names), "failed": bar.failed}


@contextmanager
def _output_to(log: Path) -> Iterator[Console]:
    """Inside, what the engine and its agents print goes to a file, also from its processes; gives the old stderr."""
    kept = {number: os.dup(number) for number in (1, 2)}
    with log.open("wb") as file, os.fdopen(os.dup(2), "w") as errors:
        try:
            for number in kept:
                os.dup2(file.fileno(), number)
            yield terminal.console(file=errors)
        finally:
            sys.stdout.flush()
            for number, old in kept.items():
                os.dup2(old, number)
                os.close(old)


def _stop_at_once(console: Console) -> None:
    """The engine's pool would first finish the worlds that it plays, so a signal ends its workers, then us."""

    def stop(number: int, _: FrameType | None) -> None:
        for child in multiprocessing.active_children():
            child.kill()
        console.show_cursor()
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def _table(results: Any, names: dict[str, str]) -> dict[str, Any]:
    frame = results.scores
    rows: list[dict[str, Any]] = []
    for kind, score in zip(results.total_scores.agent_type, results.total_scores.score, strict=True):
        mine = frame[frame.agent_type == kind].score
        row = {"policy": _policy(kind, names), "score": float(score), "mean": float(mine.mean()), "n": len(mine)}
        rows.append(row)
    rows.sort(key=lambda row: row["score"], reverse=True)
    return {
        "metric": "truncated mean",
        "winners": [_policy(kind, names) for kind in results.winners],
        "rows": rows,
    }


def _policy(kind: str, names: dict[str, str]) -> str:
    """The policy behind the engine's "ADAPTER:CLASS"."""
    return names[kind.rpartition(":")[2]]


def _show(found: dict[str, Any], folder: Folder, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    table = Table("policy", "score", "mean", "n", box=None, padding=(0, 2, 0, 0))
    for row in found["rows"]:
        table.add_row(row["policy"], f"{row['score']:.4f}", f"{row['mean']:.4f}", str(row["n"]))
    terminal.console().print(table)
    terminal.console().print(f"{folder.official}", soft_wrap=True)
