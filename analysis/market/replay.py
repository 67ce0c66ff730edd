"""A page that replays one episode of a market: one HTML file that opens offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from analysis.market.episodes import Episode

COLUMNS: Final = 400
"""Of the heat map; more steps are drawn in windows."""
REACH: Final = 40
"""Ticks around the median middle that the heat map has at most, on either side."""


def write_replay(path: Path, episode: Episode) -> None:
    """Write the page.

    Raises:
        OSError: the file cannot be written.
    """
    templates = Environment(loader=PackageLoader("analysis.market"), autoescape=select_autoescape())
    page = templates.get_template("replay.html").render(
        title=f"block {episode.block}, copy {episode.copy}",
        agents=episode.agents,
        steps=len(episode.tape.mid),
        library=get_plotlyjs(),
        data=json.dumps(replay_data(episode)),
    )
    path.write_text(page)


def replay_data(episode: Episode) -> dict[str, Any]:
    """What the page draws: lists by name, of numbers by step."""
    trades = episode.trades
    return {
        "mid": _rounded(episode.tape.mid),
        "worth": _rounded(episode.worth),
        "volume": episode.tape.volume.astype(int).tolist(),
        "trades": {
            "step": trades.step.tolist(),
            "price": trades.price.astype(int).tolist(),
            "lots": trades.lots.astype(int).tolist(),
            "sign": trades.sign.astype(int).tolist(),
        },
        "depth": {"prices": episode.depth.prices.tolist(), "lots": episode.depth.lots.tolist()},
        "heat": _heat(episode),
        "agents": [
            {
                "name": agent,
                "inventory": episode.inventory[:, index].tolist(),
                "profit": _rounded(episode.equity[:, index] - episode.equity[0, index]),
            }
            for index, agent in enumerate(episode.agents)
        ],
    }


def _heat(episode: Episode) -> dict[str, Any]:
    """Lots by price and step, bids negative; steps in windows, of which the last book is shown."""
    steps = np.unique(np.linspace(0, len(episode.tape.mid) - 1, COLUMNS).astype(int))
    middle, depth = round(float(np.median(episode.tape.mid))), episode.depth
    swing = int(np.ceil(np.abs(episode.tape.mid - middle).max())) + 10
    reach = min(swing, REACH)
    cells: NDArray[np.int64] = np.zeros((2 * reach + 1, len(steps)), np.int64)
    for column, step in enumerate(steps.tolist()):
        for side, sign in ((0, -1), (1, 1)):
            at = depth.prices[step, side] - middle + reach
            there = (depth.lots[step, side] > 0) & (at >= 0) & (at < len(cells))
            cells[at[there], column] = sign * depth.lots[step, side][there]
    return {"steps": steps.tolist(), "prices": list(range(middle - reach, middle + reach + 1)), "lots": cells.tolist()}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(value, 2) for value in values.tolist()]
