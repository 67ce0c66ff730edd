# SPDX-License-Identifier: AGPL-3.0-or-later
"""A run's folder: what lies where, who may write to it, and whether it may be continued.

RUN/run.json          what was asked for, when, with which versions
RUN/results/*.parquet a part for every world that has ended, while the run goes on and after it
RUN/results.parquet   all of them
RUN/league.json       the table
RUN/tables/           what was tracked; see scml_engine.tables
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from agora.version import software
from scml_engine.league.errors import RefusedError

DISTRIBUTIONS = ("scml", "negmas", "scml-agents")


class Folder:
    """Paths of one run.

    Attributes:
        path: the folder.
        about: what was asked for, when, and with which versions.
        parts: a file of results for each world that has ended; where ``--resume`` goes on.
        results: all of them.
        league: the table.
        official: the table of the engine's own tournament.
        official_logs: what the engine writes meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.about = path / "run.json"
        self.parts = path / "results"
        self.results = path / "results.parquet"
        self.league = path / "league.json"
        self.official = path / "official.json"
        self.official_logs = path / "official_logs"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second runner away from this run; the kernel lets go when the process ends.

        Raises:
            RefusedError: another one holds it.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RefusedError("--name", "a run that nobody is running", self.path) from None
            yield


def create(path: Path, kind: str, arguments: dict[str, Any]) -> Folder:
    """Make a new run's folder.

    Args:
        path: where.
        kind: "league" or "official".
        arguments: what its outcome depends on, as JSON.

    Raises:
        RefusedError: there is one already.
    """
    folder = Folder(path)
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        hint = " without --resume" if kind == "league" else ""
        raise RefusedError("--name", f"a run that does not exist yet{hint}", path) from None
    about = {
        "command": shlex.join(["agora", "scml", *sys.argv[1:]]),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "kind": kind,
        "software": software(),
        "arguments": arguments,
        "versions": versions(),
    }
    write_json(folder.about, about)
    return folder


def reopen(path: Path, arguments: dict[str, Any]) -> Folder:
    """Open the folder of a run that is to be continued.

    Args:
        path: where.
        arguments: as for ``create``; they must be the same.

    Raises:
        RefusedError: there is no run, or its outcome would depend on something else.
    """
    folder = Folder(path)
    try:
        about = json.loads(folder.about.read_text())
    except FileNotFoundError:
        raise RefusedError("--resume", "a run to continue", f"{path}, which has no run.json") from None
    for field, value in {**arguments, **versions()}.items():
        before = {**about["arguments"], **about["versions"]}.get(field)
        if before != value:
            raise RefusedError(f"--resume: {field}", f"{before!r}, as in {folder.about}", repr(value))
    return folder


def versions() -> dict[str, str]:
    """Of what scores depend on, by distribution."""
    return {name: version(name) for name in DISTRIBUTIONS}


def write_json(path: Path, values: Any) -> None:
    """Write a file of which readers see the old or the new content, never half of it."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(values, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
