"""Which runs lie in a folder and which worlds each of them holds.

Names from outside are only ever looked up in these lists, so that no name can lead out of the folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ABOUT: Final = "run.json"
TABLES: Final = "tables"
WORLDS: Final = "worlds"
"""The table that has a file for each world, whatever else was logged."""


class NotThereError(LookupError):
    """There is no such run, world, factory or negotiation; the message says so in words."""


@dataclass(frozen=True)
class Run:
    """A run's folder.

    Attributes:
        name: the folder's.
        path: where it is.
        about: ``run.json``, or nothing where it cannot be read.
        problem: why it cannot be read; empty if it can.
    """

    name: str
    path: Path
    about: dict[str, Any] = field(default_factory=dict)
    problem: str = ""

    def worlds(self) -> list[str]:
        """Ids of the worlds that were logged, sorted."""
        return sorted(path.stem for path in (self.path / TABLES / WORLDS).glob("*.parquet"))

    def world(self, name: str) -> str:
        """The name, if it is one of the worlds.

        Raises:
            NotThereError: it is not.
        """
        if name not in self.worlds():
            raise NotThereError(f"Run {self.name} has no world {name!r}.")
        return name

    def files(self, table: str, worlds: Sequence[str]) -> list[Path]:
        """Where a table of these worlds is, or should be; the worlds are names from ``worlds()``."""
        return [self.path / TABLES / table / f"{world}.parquet" for world in worlds]


def list_runs(root: Path) -> list[Run]:
    """The runs in a folder, the newest first; the folder may itself be the only run.

    Raises:
        NotADirectoryError: there is no such folder.
    """
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: expected a folder of runs, found none")
    if _is_run(root):
        return [_read(root.resolve())]
    runs = [_read(path) for path in root.iterdir() if _is_run(path)]
    return sorted(runs, key=lambda run: (str(run.about.get("created", "")), run.name), reverse=True)


def find_run(root: Path, name: str) -> Run:
    """The run of that name.

    Raises:
        NotThereError: there is none.
    """
    for run in list_runs(root):
        if run.name == name:
            return run
    raise NotThereError(f"There is no run {name!r} in {root}.")


def _is_run(path: Path) -> bool:
    return (path / ABOUT).is_file() or (path / TABLES / WORLDS).is_dir()


def _read(path: Path) -> Run:
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return Run(path.name, path, problem=f"{ABOUT}: {getattr(error, 'strerror', None) or error}")
    if not isinstance(about, dict):
        return Run(path.name, path, problem=f"{ABOUT}: expected an object, got {type(about).__name__}")
    return Run(path.name, path, about)
