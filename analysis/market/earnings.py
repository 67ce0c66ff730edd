"""Who earned what: profit, risk and inventory of each agent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.market.episodes import Episode


@dataclass(frozen=True)
class Earnings:
    """One agent's, over episodes.

    Attributes:
        agent: its id.
        profit: mean over episodes of the change of equity, in ticks times lots.
        error: standard error of that mean; 0 of one episode.
        sharpe: mean change per step over its standard deviation, times the square root of the steps of an episode.
        wins: share of episodes with a profit.
        inventory: mean |lots|.
        most: largest |lots|.
    """

    agent: str
    profit: float
    error: float
    sharpe: float
    wins: float
    inventory: float
    most: int


def earnings(played: Sequence[Episode]) -> list[Earnings]:
    """Each agent's earnings.

    Raises:
        ValueError: no episodes.
    """
    if not played:
        raise ValueError("episodes: expected at least one, got none")
    return [_of(agent, index, played) for index, agent in enumerate(played[0].agents)]


def _of(agent: str, index: int, played: Sequence[Episode]) -> Earnings:
    profits = np.array([episode.equity[-1, index] - episode.equity[0, index] for episode in played])
    changes = np.concatenate([np.diff(episode.equity[:, index]) for episode in played])
    held = np.concatenate([np.abs(episode.inventory[:, index]) for episode in played])
    spread = float(changes.std())
    steps = len(played[0].equity) - 1
    return Earnings(
        agent=agent,
        profit=float(profits.mean()),
        error=float(profits.std(ddof=1) / np.sqrt(len(profits))) if len(profits) > 1 else 0.0,
        sharpe=float(changes.mean()) / spread * float(np.sqrt(steps)) if spread > 0.0 else 0.0,
        wins=float((profits > 0).mean()),
        inventory=float(held.mean()),
        most=int(held.max()),
    )
