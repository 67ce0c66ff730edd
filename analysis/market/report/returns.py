"""Figures of returns: how they are distributed, and what they remember."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.market import statistics as of
from analysis.market.episodes import Episode
from analysis.market.facts import SCALES
from analysis.market.report.shapes import ABOVE, Cell, Figure, Json, axis, line, plain

FEWEST: Final = 30
"""Returns that a distribution needs."""
REACH: Final = 8.0
"""Standard deviations that are drawn; the table counts what lies beyond."""
BIN: Final = 0.25
"""Width of a bin in standard deviations, about."""
LEAST_MOVE: Final = 0.5
"""Ticks between two middles."""
SYMBOLS: Final = ("circle", "diamond", "square")
COLORS: Final = ("--accent", "--second", "--good")
MOST_LAGS: Final = 50
TOLD_LAGS: Final = (1, 2, 5, 10, 20, 50)
BAND: Final = 0.05
"""Real markets' returns stay inside (see ``facts``)."""


def distribution(played: Sequence[Episode]) -> Figure | None:
    """Densities of returns in standard deviations, by scale, against the normal one; None of too few returns."""
    pooled = {
        scale: np.concatenate([of.log_returns(episode.tape.mid, scale) for episode in played]) for scale in SCALES
    }
    drawn = {scale: returns for scale, returns in pooled.items() if len(returns) >= FEWEST and returns.std() > 0.0}
    if not drawn:
        return None
    move = LEAST_MOVE / float(np.mean([episode.tape.mid.mean() for episode in played]))
    layout: Json = {
        "xaxis": {**axis("standard deviations"), "range": [-REACH, REACH]},
        "yaxis": {**axis("density"), "type": "log", "tickformat": "~g", "range": [-5.0, 0.7]},
        "hovermode": "closest",
        "legend": ABOVE,
        "height": 340,
    }
    caption = (
        "Logarithmic returns of all these episodes, in standard deviations (log axis). Dashed: the normal density."
    )
    return {
        "title": "Distribution of returns",
        "caption": caption,
        "data": [*(_density(scale, returns, move) for scale, returns in drawn.items()), _normal()],
        "layout": layout,
        "table": {
            "headers": [
                "Returns over",
                "how many",
                "standard deviation",
                "excess kurtosis",
                "beyond 3 σ",
                "largest, σ",
            ],
            "rows": [_told(scale, returns) for scale, returns in drawn.items()],
        },
    }


def memory(played: Sequence[Episode]) -> Figure | None:
    """Autocorrelation of returns and of their sizes by lag, mean over episodes; None of too short ones."""
    by_episode = [of.log_returns(episode.tape.mid) for episode in played]
    lags = np.arange(1, min(MOST_LAGS, min(map(len, by_episode)) // 4) + 1)
    if not len(lags):
        return None
    signed = np.mean([of.autocorrelation(returns, lags) for returns in by_episode], axis=0)
    sizes = np.mean([of.autocorrelation(np.abs(returns), lags) for returns in by_episode], axis=0)
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": -BAND, "y1": BAND, "layer": "below"}
    layout: Json = {
        "xaxis": axis("lag, steps"),
        "yaxis": axis("autocorrelation"),
        "shapes": [band | {"fillcolor": "--muted/0.16", "line": {"width": 0}}],
        "legend": ABOVE,
        "height": 340,
    }
    told = [lag for lag in TOLD_LAGS if lag <= len(lags)]
    rows: list[list[Cell]] = [[str(lag), float(signed[lag - 1]), float(sizes[lag - 1])] for lag in told]
    return {
        "title": "Memory of returns",
        "caption": f"Autocorrelation of returns over 1 step, mean over episodes; band: ±{BAND:g}.",
        "data": [line("returns", lags, signed, "--accent"), line("|returns|", lags, sizes, "--second")],
        "layout": layout,
        "table": {"headers": ["Lag", "returns", "|returns|"], "rows": rows},
    }


def _density(scale: int, returns: NDArray[np.float64], move: float) -> Json:
    """Markers in the middles of bins that hold any.

    Middles move by half ticks. So bins are whole multiples of the return of such a ``move``, with edges between its
    multiples; or else single returns would look denser than they are.
    """
    mean, deviation = float(returns.mean()), float(returns.std())
    width = move * max(1, round(BIN * deviation / move))
    reach = math.ceil(REACH * deviation / width)
    counts, edges = np.histogram(returns, move / 2.0 + width * np.arange(-reach - 1, reach + 1))
    there, place = counts > 0, SCALES.index(scale)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": _over(scale),
        "x": plain((((edges[1:] + edges[:-1]) / 2.0 - mean) / deviation)[there]),
        "y": plain((counts * deviation / (len(returns) * width))[there]),
        "marker": {"color": COLORS[place], "symbol": SYMBOLS[place], "size": 6},
    }


def _normal() -> Json:
    x = np.linspace(-5.0, 5.0, 101)
    y = np.exp(-0.5 * x**2) / math.sqrt(2.0 * math.pi)
    style = {"color": "--ink", "width": 1.5, "dash": "dash"}
    return {"type": "scatter", "mode": "lines", "name": "normal", "x": plain(x), "y": plain(y), "line": style}


def _told(scale: int, returns: NDArray[np.float64]) -> list[Cell]:
    sizes = np.abs(returns - returns.mean()) / returns.std()
    beyond = f"{float((sizes > 3.0).mean()):.2%}"
    return [_over(scale), len(returns), float(returns.std()), of.excess_kurtosis(returns), beyond, float(sizes.max())]


def _over(scale: int) -> str:
    return f"{scale} step{'s' if scale > 1 else ''}"
