"""Sections of the page that other rooms measured: ``sections/NAME.json`` in the run's folder.

Such a file is ``{"title", "note", "figures", "tables"}``. A figure has "title", "caption", "table", and plotly's "data"
and "layout" in the page's colours (see ``figures``). Of "tables", each has "title", "caption" and "table". A table is
``{"headers", "rows"}`` of words, numbers and nulls. The first figure is as wide as the page, others stand in pairs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from trainer.report.figures import Figure, Json, Table, number


@dataclass(frozen=True)
class Listing:
    """A table that stands for itself."""

    title: str
    caption: str
    table: Table


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    title: str
    note: str
    figures: Sequence[Figure]
    tables: Sequence[Listing]


def read_sections(directory: Path) -> list[Section]:
    """Sections by file name.

    Args:
        directory: their folder; may be missing, and files that are torn or no sections are passed over.
    """
    files = sorted(directory.glob("*.json"))
    return [section for i, file in enumerate(files) if (section := _read(file, f"section-{i}"))]


def _read(file: Path, name: str) -> Section | None:
    try:
        return _section(json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse), name)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _section(given: Json, name: str) -> Section:
    return Section(
        title=str(given["title"]),
        note=str(given["note"]),
        figures=[_figure(item, f"{name}-{i}") for i, item in enumerate(given["figures"])],
        tables=[Listing(str(item["title"]), str(item["caption"]), _table(item["table"])) for item in given["tables"]],
    )


def _figure(given: Json, name: str) -> Figure:
    data, layout = [dict(trace) for trace in given["data"]], dict(given["layout"])
    return Figure(name, str(given["title"]), str(given["caption"]), data, layout, _table(given["table"]))


def _table(given: Json) -> Table:
    return Table([str(header) for header in given["headers"]], [[_cell(cell) for cell in row] for row in given["rows"]])


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return number(value) if isinstance(value, int | float) else str(value)


def _refuse(word: str) -> NoReturn:
    """NaN and infinities are no JSON, and the page could not hand them on."""
    raise ValueError(f"expected JSON, got {word}")
