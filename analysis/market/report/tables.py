"""Tables of episodes: who earned what, how good the market is, and which stylised facts it has."""

from __future__ import annotations

import math
from collections.abc import Sequence

from analysis.market import facts, measures
from analysis.market.earnings import earnings
from analysis.market.episodes import Episode
from analysis.market.report.shapes import Cell, Listing


def earned(played: Sequence[Episode]) -> Listing:
    """Profit, Sharpe ratio, wins and inventory of each agent."""
    rows: list[list[Cell]] = [
        [row.agent, row.profit, row.error, row.sharpe, f"{row.wins:.0%}", row.inventory, row.most]
        for row in earnings(played)
    ]
    headers = ["Agent", "Profit, ticks × lots", "± standard error", "Sharpe", "Wins", "Mean |lots|", "Most lots"]
    caption = "Profit is the mean over episodes; wins are the episodes with a profit; Sharpe is of an episode's length."
    return {"title": "What agents earned", "caption": caption, "table": {"headers": headers, "rows": rows}}


def measured(played: Sequence[Episode]) -> Listing:
    """The measures of market quality."""
    rows: list[list[Cell]] = [
        [name, mean, measures.MEASURES[name].unit] for name, mean in measures.over_episodes(played).items()
    ]
    headers = ["Measure", "Mean", "Unit"]
    caption = "Mean over the episodes in which there is anything to measure."
    return {"title": "Market quality", "caption": caption, "table": {"headers": headers, "rows": rows}}


def held(played: Sequence[Episode]) -> Listing:
    """The stylised facts.

    Raises:
        ValueError: an episode is too short for them.
    """
    rows: list[list[Cell]] = [
        [fact["name"], f"{fact['share']:.0%}", ", ".join(map(_short, fact["values"])), fact["wanted"]]
        for fact in facts.over_episodes([episode.tape for episode in played])
    ]
    headers = ["Fact", "Holds in", "Median", "Wanted"]
    caption = (
        "In how many of the episodes each of twelve facts of real markets holds (Cont 2001, Vyetrenko et al. 2020)."
    )
    return {"title": "Stylised facts", "caption": caption, "table": {"headers": headers, "rows": rows}}


def _short(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"
