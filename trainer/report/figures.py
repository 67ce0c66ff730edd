"""What a figure is: plotly's own JSON, and the same figures in words and in a table.

A colour is written ``--name`` or ``--name/opacity``; the page replaces it by its own colour of that name, so that
one figure serves the light and the dark scheme.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

Json = dict[str, Any]
Row = Sequence[str]

PALETTE: Final = 8
"""How many agent colours the page has."""
SYMBOLS: Final = ("circle", "square", "diamond", "triangle-up", "cross", "x", "star", "hexagon")
MOST_POINTS: Final = 600
"""Longer series are thinned, so that the page opens quickly."""


@dataclass(frozen=True)
class Table:
    """Figures for those who cannot see the plot, or want to copy them."""

    headers: Row
    rows: Sequence[Row]


@dataclass(frozen=True)
class Figure:
    """One plot.

    Attributes:
        id: unique on the page.
        title: its heading.
        caption: what to see in it.
        data: plotly traces.
        layout: plotly layout, only what differs from the page's own.
        table: the same figures.
        small: several such stand in a row.
        frames: plotly frames of a moving picture.
    """

    id: str
    title: str
    caption: str
    data: list[Json]
    layout: Json
    table: Table
    small: bool = False
    frames: Sequence[Json] = ()

    @property
    def description(self) -> str:
        """The plot in words, for a screen reader."""
        return f"{self.title}. {self.caption} The figures are in the table below."

    def json(self) -> Json:
        """What the page hands to plotly."""
        moving = {"frames": list(self.frames)} if self.frames else {}
        return {"id": self.id, "data": self.data, "layout": self.layout, "small": self.small, **moving}


@dataclass(frozen=True)
class Series:
    """One line of a plot over the run."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: str
    trace: Json = field(default_factory=dict)


def agent_color(index: int) -> str:
    """An agent's colour, the same everywhere on the page."""
    return f"--agent-{index % PALETTE}"


def plain(values: Iterable[float]) -> list[float | None]:
    """Numbers for JSON: seven significant digits, null for what is not finite."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in values]


def number(value: float, digits: int = 4, trim: bool = True) -> str:
    """A number for people: ``1,234``, ``0.3456``, ``–`` where there is none; ``trim`` drops zeros at its end."""
    if not math.isfinite(value):
        return "–"
    value = value or 0.0  # minus zero is zero
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.{digits - 1}e}"
    decimals = max(0, digits - 1 - (math.floor(math.log10(abs(value))) if value else 0))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if trim and "." in text else text


def percent(share: float) -> str:
    """A share for people, in per cent."""
    if 0 < share < 1e-6:
        return "<\u00a00.0001\u00a0%"
    return f"{number(100 * share, 3)}\u00a0%" if math.isfinite(share) else "–"


def evolution(
    figure_id: str,
    title: str,
    caption: str,
    series: Sequence[Series],
    y_title: str,
    layout: Json | None = None,
    resumes: Sequence[tuple[int, int]] = (),
    x_title: str = "joint actions evaluated",
) -> Figure:
    """Lines over the run, with the trainer's restarts marked."""
    own: Json = {
        "xaxis": {"title": {"text": x_title}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": y_title}},
        "showlegend": len(series) > 1,
        **_resume_marks(resumes),
    }
    return Figure(
        figure_id, title, caption, [line(item) for item in series], _merged(own, layout or {}), _table(series)
    )


def line(series: Series) -> Json:
    """A series as a plotly trace."""
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    keep = thinned(len(x))
    trace: Json = {
        "type": "scatter",
        "mode": "lines",
        "name": series.name,
        "x": plain(x[keep]),
        "y": plain(y[keep]),
        "line": {"color": series.color, "width": 2},
        "hovertemplate": "%{y:.5~g}",
    }
    return {**trace, **{key: _pick(value, keep, len(x)) for key, value in series.trace.items()}}


def _pick(value: object, keep: Sequence[int], length: int) -> object:
    """Thin the lists of a trace that go with its points."""
    if isinstance(value, dict):
        return {key: _pick(item, keep, length) for key, item in value.items()}
    return [value[i] for i in keep] if isinstance(value, list) and len(value) == length else value


def _merged(layout: Json, more: Json) -> Json:
    """Both layouts; mappings are merged and lists joined."""
    merged = dict(layout)
    for key, value in more.items():
        if isinstance(value, dict):
            value = {**merged.get(key, {}), **value}
        elif isinstance(value, list):
            value = [*merged.get(key, []), *value]
        merged[key] = value
    return merged


def thinned(length: int) -> list[int]:
    """Which points of a long series to draw; the first and the last are among them."""
    spread: list[int] = np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int)).tolist()
    return spread


def reference_line(value: float, text: str, log: bool = False) -> Json:
    """A horizontal dashed line with its name, as layout."""
    shape = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
    label = {"text": text, "xref": "paper", "x": 1, "xanchor": "right", "yanchor": "bottom", "showarrow": False}
    return {
        "shapes": [shape | {"layer": "between", "line": {"color": "--ink", "width": 1.5, "dash": "dash"}}],
        "annotations": [label | {"y": math.log10(value) if log else value, "font": {"color": "--ink"}}],
    }


def _resume_marks(resumes: Sequence[tuple[int, int]]) -> Json:
    """Vertical dotted lines where the trainer started again."""
    base = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": "--muted", "width": 1, "dash": "dot"}}
    text = {"yref": "paper", "y": 1, "yanchor": "bottom", "showarrow": False, "font": {"color": "--muted", "size": 11}}
    return {
        "shapes": [base | {"x0": x, "x1": x} for x, _ in resumes],
        "annotations": [text | {"x": x, "text": f"resumed · epoch {epoch}"} for x, epoch in resumes],
    }


def _table(series: Sequence[Series]) -> Table:
    """Where each line starts and ends, and how far it went."""
    rows = []
    for item in series:
        known = [value for value in item.y if math.isfinite(value)]
        ends = [known[0], min(known), max(known), known[-1]] if known else [math.nan] * 4
        rows.append([item.name, *(number(value) for value in ends)])
    return Table(["", "first", "lowest", "highest", "last"], rows)
