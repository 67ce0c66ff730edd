"""Figures of one episode: its prices, and what each agent held and earned."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.market.episodes import Episode
from analysis.market.report.shapes import ABOVE, Cell, Figure, Json, agent_color, axis, line, plain

MOST_POINTS: Final = 600
"""Longer episodes are drawn in windows of steps, so that the page opens quickly."""
MOST_LINES: Final = 16
"""More agents than this cannot be told apart; the table of earnings has all of them."""


def prices(episode: Episode) -> Figure:
    """Middle and worth by step, with the lots that traded under them."""
    ends, width = _ends(len(episode.tape.mid))
    lots = np.add.reduceat(episode.tape.volume, [0, *(ends[:-1] + 1)])
    window = f"{width} steps" if width > 1 else "step"
    data = [
        line("worth", ends, episode.worth[ends], "--second"),
        line("middle", ends, episode.tape.mid[ends], "--accent"),
        _bars(f"lots per {window}", ends, lots),
    ]
    layout: Json = {
        "xaxis": {**axis("step"), "anchor": "y2"},
        "yaxis": {**axis("ticks"), "domain": [0.3, 1.0], "tickformat": ",~g"},
        "yaxis2": {**axis("lots"), "domain": [0.0, 0.22], "gridcolor": "--grid", "automargin": True},
        "bargap": 0,
        "height": 460,
    }
    shown = [("middle, ticks", episode.tape.mid), ("worth, ticks", episode.worth)]
    rows = [_course(name, values) for name, values in [*shown, ("lots per step", episode.tape.volume)]]
    return {
        "title": "Prices and trades",
        "caption": f"{_where(episode)}. Middle of the book, what a lot is worth, and lots traded in each {window}.",
        "data": data,
        "layout": layout,
        "table": {"headers": ["", "first", "lowest", "highest", "last"], "rows": rows},
    }


def inventories(episode: Episode) -> Figure:
    """Each agent's lots by step."""
    return _by_agent(episode, "Inventory of each agent", "lots", episode.inventory.astype(np.float64))


def profits(episode: Episode) -> Figure:
    """Each agent's cash and shares at the middle by step, less those after the first one."""
    return _by_agent(episode, "Profit of each agent", "ticks × lots", episode.equity - episode.equity[0])


def _by_agent(episode: Episode, title: str, unit: str, values: NDArray[np.float64]) -> Figure:
    """A line for each column of (T, N)."""
    ends, _ = _ends(len(values))
    agents = episode.agents[:MOST_LINES]
    left_out = len(episode.agents) - len(agents)
    layout: Json = {"xaxis": axis("step"), "yaxis": axis(unit), "showlegend": len(agents) > 1, "legend": ABOVE}
    return {
        "title": title,
        "caption": f"{_where(episode)}{f'; {left_out} agents are left out' if left_out else ''}.",
        "data": [line(agent, ends, values[ends, i], agent_color(i)) for i, agent in enumerate(agents)],
        "layout": layout,
        "table": {
            "headers": ["", "first", "lowest", "highest", "last"],
            "rows": [_course(agent, values[:, i]) for i, agent in enumerate(episode.agents)],
        },
    }


def _ends(steps: int) -> tuple[NDArray[np.int64], int]:
    """Last steps of equally long windows, the first of which may be shorter, and how long they are."""
    width = -(-steps // MOST_POINTS)
    return np.arange(steps - 1, -1, -width)[::-1], width


def _bars(name: str, x: NDArray[np.int64], y: NDArray[np.float64]) -> Json:
    return {
        "type": "bar",
        "name": name,
        "x": x.tolist(),
        "y": plain(y),
        "yaxis": "y2",
        "marker": {"color": "--muted/0.7"},
    }


def _course(name: str, values: NDArray[np.float64]) -> list[Cell]:
    return [name, *(float(value) for value in (values[0], values.min(), values.max(), values[-1]))]


def _where(episode: Episode) -> str:
    return f"Block {episode.block}, copy {episode.copy}"
