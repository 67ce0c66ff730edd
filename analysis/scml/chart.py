"""Plots as plain SVG, drawn on the server: pages need no script and no inline style to show them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Kind = Literal["line", "dashed", "bar", "dots"]
Point = tuple[float, float]

WIDTH: Final = 560
HEIGHT: Final = 250
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 12, 44
"""Margins, in units of the picture."""
COLORS: Final = 8
"""How many colours the style sheet has for series."""


@dataclass(frozen=True)
class Series:
    """Values by x.

    Attributes:
        name: in the legend.
        x: ascending.
        y: as long; None leaves a gap.
        color: 0 to 7.
        kind: bars of one chart are stacked, those below 0 downwards.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    color: int
    kind: Kind = "line"

    @property
    def points(self) -> list[Point]:
        """Those that have a finite value."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None and math.isfinite(y)]


@dataclass(frozen=True)
class Chart:
    """A plot, and what is said about it.

    Attributes:
        id: unique on the page.
        title: its heading.
        caption: what to see in it.
        x_title: with unit.
        y_title: with unit.
        series: what is drawn.
        levels: horizontal lines, by name.
        from_zero: the y axis includes 0.
    """

    id: str
    title: str
    caption: str
    x_title: str
    y_title: str
    series: Sequence[Series]
    levels: Sequence[tuple[str, float]] = ()
    from_zero: bool = True

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(series.points for series in self.series)

    @property
    def rows(self) -> list[tuple[float, list[float | None]]]:
        """The same figures: x, and each series' value there."""
        values = [dict(series.points) for series in self.series]
        return [(x, [of.get(x) for of in values]) for x in sorted(set().union(*values))]


@dataclass(frozen=True)
class Scale:
    """From values to the picture.

    Attributes:
        low: value at ``start``.
        high: value at ``end``.
        start: place in the picture.
        end: place in the picture.
        ticks: values to be labelled.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: list[float]

    def __call__(self, value: float) -> float:
        """The place of a value, rounded to what can be seen."""
        return round(self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start), 2)


@dataclass
class Drawing:
    """What the template puts into the SVG; texts are (x, y, text), bars (x, y, width, height, color, title)."""

    width: int = WIDTH
    height: int = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    bottom: float = HEIGHT - BOTTOM
    x_ticks: list[tuple[float, str]] = field(default_factory=list)
    y_ticks: list[tuple[float, str]] = field(default_factory=list)
    levels: list[tuple[float, str]] = field(default_factory=list)
    paths: list[tuple[str, int, Kind]] = field(default_factory=list)
    bars: list[tuple[float, float, float, float, int, str]] = field(default_factory=list)
    dots: list[tuple[float, float, int, Kind, str]] = field(default_factory=list)
    zero: float | None = None


def draw(chart: Chart) -> Drawing:
    """Geometry of a chart that is not empty."""
    stacks = _stacks(chart)
    x, y = _scales(chart, stacks)
    drawing = Drawing(
        x_ticks=[(x(value), tick_text(value)) for value in x.ticks],
        y_ticks=[(y(value), tick_text(value)) for value in y.ticks],
        levels=[(y(value), name) for name, value in chart.levels],
        zero=y(0) if y.low < 0 < y.high else None,
    )
    width = 0.8 * abs(x(1) - x(0))
    for at, low, high, color, title in stacks:
        drawing.bars.append((x(at) - width / 2, y(high), width, round(y(low) - y(high), 2), color, title))
    for series in chart.series:
        if series.kind != "bar":
            _lay(series, x, y, drawing)
    return drawing


def _lay(series: Series, x: Scale, y: Scale, drawing: Drawing) -> None:
    """A line and its points, or points alone."""
    if series.kind != "dots":
        path = " ".join(f"{'L' if i else 'M'}{x(a)} {y(b)}" for i, (a, b) in enumerate(series.points))
        drawing.paths.append((path, series.color, series.kind))
    for a, b in series.points:
        drawing.dots.append((x(a), y(b), series.color, series.kind, _title(series.name, a, b)))


Stack = tuple[float, float, float, int, str]
"""x, low, high, color, title of a bar."""


def _stacks(chart: Chart) -> list[Stack]:
    tops: dict[tuple[float, bool], float] = {}
    bars: list[Stack] = []
    for series in chart.series:
        for x, y in series.points if series.kind == "bar" else ():
            base = tops.get((x, y < 0), 0.0)
            tops[x, y < 0] = base + y
            if y:
                bars.append((x, min(base, base + y), max(base, base + y), series.color, _title(series.name, x, y)))
    return bars


def _scales(chart: Chart, stacks: Sequence[Stack]) -> tuple[Scale, Scale]:
    points = [point for series in chart.series for point in series.points]
    half = 0.5 if stacks else 0.0
    x_values = [x for x, _ in points]
    y_values = [y for series in chart.series if series.kind != "bar" for _, y in series.points]
    y_values += [edge for stack in stacks for edge in stack[1:3]] + [value for _, value in chart.levels]
    y_values += [0.0] if chart.from_zero or stacks else []
    low, high = min(x_values) - half, max(x_values) + half
    x = scale([low, high], LEFT, WIDTH - RIGHT, whole=True, tight=True)
    return x, scale(y_values, HEIGHT - BOTTOM, TOP)


def scale(values: Iterable[float], start: float, end: float, whole: bool = False, tight: bool = False) -> Scale:
    """A scale over the values with round ticks, about five of them.

    Args:
        values: to be covered, at least one.
        start: place of the lowest.
        end: place of the highest.
        whole: ticks at whole numbers only.
        tight: ends at the values, not at ticks.
    """
    found = list(values)
    low, high = min(found), max(found)
    if low == high:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    if not tight:
        low, high = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    first = math.ceil(low / step - 1e-9)
    ticks = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return Scale(low, high, start, end, ticks)


def tick_text(value: float) -> str:
    """A round number for an axis."""
    return f"{value:,.10g}".replace("-", "−")


def _title(name: str, x: float, y: float) -> str:
    return f"{name}, day {x:g}: {y:,.5g}".replace("-", "−")
