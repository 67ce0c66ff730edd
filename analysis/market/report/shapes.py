"""What a section of a report is made of: JSON. Colours are the page's own, ``--name`` or ``--name/opacity``."""

from __future__ import annotations

from typing import Any, Final, TypedDict

import numpy as np
from numpy.typing import NDArray

Json = dict[str, Any]
Cell = str | int | float | None
"""The page writes numbers as people do, and nothing for None."""

PALETTE: Final = 8
"""How many agent colours the page has."""

ABOVE: Final[Json] = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
"""A legend, where it covers no title."""


class Table(TypedDict):
    """Rows under headers."""

    headers: list[str]
    rows: list[list[Cell]]


class Figure(TypedDict):
    """A plot: plotly's traces and layout, and the same figures as a table."""

    title: str
    caption: str
    data: list[Json]
    layout: Json
    table: Table


class Listing(TypedDict):
    """A table that stands for itself."""

    title: str
    caption: str
    table: Table


class Section(TypedDict):
    """A part of the page: the first figure over its whole width, the others in pairs, then the tables."""

    title: str
    note: str
    figures: list[Figure]
    tables: list[Listing]


def agent_color(index: int) -> str:
    """An agent's colour, the same everywhere on the page."""
    return f"--agent-{index % PALETTE}"


def plain(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers for JSON: seven significant digits, null for what is not finite."""
    return [float(f"{value:.7g}") if np.isfinite(value) else None for value in values.tolist()]


def line(name: str, x: NDArray[np.int64], y: NDArray[np.float64], color: str) -> Json:
    """A line as a plotly trace."""
    style = {"color": color, "width": 1.5}
    return {"type": "scatter", "mode": "lines", "name": name, "x": x.tolist(), "y": plain(y), "line": style}


def axis(title: str) -> Json:
    """An axis with its title."""
    return {"title": {"text": title}}
