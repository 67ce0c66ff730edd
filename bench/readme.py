"""The column of the README's table that tells which figures speak of the present code: ``python -m bench --readme``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.report import Verdict
from bench.sources import ROOT
from bench.stored import NEVER, STALE, State

PAGE: Final = ROOT / "README.md"
TITLE: Final = "| name | question | measured on 2 cores (target) |"
NOW: Final = " now |"
GRAVE: Final = (Verdict.TOLD, Verdict.HOLDS, Verdict.NOT_MEASURED, Verdict.FALLS_SHORT, NEVER, STALE)
"""What is told of a row that names several measurements: the last that is true of any."""
_ROW: Final = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \|")
_COLUMNS: Final = 3


def marked(text: str, states: Mapping[str, State]) -> str:
    """The page with what is true of each measurement in its row's last column.

    Raises:
        ValueError: there is no such table, a row names no measurement, or a measurement is in no row.
    """
    head, title, table = text.partition(TITLE)
    if not title:
        raise ValueError(f"{PAGE.name}: expected a table that begins with {TITLE!r}, got none")
    rows, end, rest = table.partition("\n\n")
    lines = rows.splitlines()
    missing = sorted(set(states) - {name for line in lines[2:] for name in _names(line)})
    if missing:
        raise ValueError(f"{PAGE.name}: expected a row for every measurement, got none for {', '.join(missing)}")
    body = [f"{_cut(line)} {_word(_names(line), states)} |" for line in lines[2:]]
    return "\n".join([head + title + NOW, "|---" * (_COLUMNS + 1) + "|", *body]) + end + rest


def _cut(line: str) -> str:
    """A row without the last column, if it has that already."""
    return "|".join(line.split("|")[: _COLUMNS + 1]) + "|"


def _names(line: str) -> list[str]:
    match = _ROW.match(line)
    return re.findall(r"\w+", match.group(1)) if match else []


def _word(names: Sequence[str], states: Mapping[str, State]) -> str:
    unknown = [name for name in names if name not in states]
    if unknown or not names:
        raise ValueError(
            f"{PAGE.name}: expected the name of a measurement, got {', '.join(unknown) or 'a row without'}"
        )
    now = max((states[name].now for name in names), key=GRAVE.index)
    return now if now in (Verdict.HOLDS, Verdict.TOLD) else f"*{now}*"


def write(states: Mapping[str, State], page: Path = PAGE) -> Path:
    """Mark the page; returns it."""
    page.write_text(marked(page.read_text(), states))
    return page
