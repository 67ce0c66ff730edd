"""A page that replays one episode of a market: one HTML file that opens offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from agora.files import replacing
from analysis.market.episodes import Episode

COLUMNS: Final = 2_000
"""Of the map of the book; longer episodes are drawn in windows, of which the last book is shown."""
REACH: Final = 40
"""Ticks that the map has on either side of the middle; what is farther lies in its outermost rows."""
USUAL: Final = 98.0
"""Percentile of the lots in a cell at which the map's colours end."""


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
        data=json.dumps(replay_data(episode)).replace("</", "<\\/"),  # Names end no script.
    )
    with replacing(path) as draft:
        draft.write_text(page, encoding="utf-8")


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
    """Lots by distance from the middle and by step, bids negative: the map follows the price."""
    steps = np.unique(np.linspace(0, len(episode.tape.mid) - 1, COLUMNS).astype(int))
    middle, cells = episode.tape.mid[steps], np.zeros((2 * REACH + 1, len(steps)), np.int64)
    for side, (sign, nearest) in enumerate(((-1, np.ceil(middle)), (1, np.floor(middle)))):
        prices, lots = episode.depth.prices[steps, side], episode.depth.lots[steps, side]
        ticks = np.clip(prices - nearest.astype(np.int64)[:, None], -REACH, REACH)
        column, level = np.nonzero(lots > 0)
        np.add.at(cells, (ticks[column, level] + REACH, column), sign * lots[column, level])
    found = np.abs(cells[cells != 0])
    most = float(np.percentile(found, USUAL)) if len(found) else 1.0
    ticks_shown = list(range(-REACH, REACH + 1))
    return {"steps": steps.tolist(), "ticks": ticks_shown, "lots": cells.tolist(), "most": most}


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(value, 2) for value in values.tolist()]
