"""The table of market-quality measures of an episode."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from analysis.market import quality
from analysis.market.episodes import Episode


@dataclass(frozen=True)
class Measure:
    """A number of an episode; NaN where it has none.

    Attributes:
        of: computes it.
        unit: of it.
    """

    of: Callable[[Episode], float]
    unit: str


def _depth(levels: int, episode: Episode) -> float:
    return quality.mean_depth(episode.depth, levels)


def _ratio(steps: int, episode: Episode) -> float:
    return quality.variance_ratio(episode.tape.mid, steps)


def _imbalance(episode: Episode) -> float:
    """How much of the moves the order-flow imbalance explains."""
    flow, moves = quality.order_flow_imbalance(episode.depth), np.diff(episode.tape.mid)
    if not len(flow) or flow.std() == 0.0 or moves.std() == 0.0:
        return float("nan")
    return float(np.corrcoef(flow, moves)[0, 1] ** 2)


MEASURES: Final[Mapping[str, Measure]] = {
    "quoted spread": Measure(lambda e: quality.quoted_spread(e.depth), "ticks"),
    "effective spread": Measure(lambda e: quality.effective_spread(e.trades, e.tape.mid), "ticks"),
    "realised spread, 10 steps": Measure(lambda e: quality.realised_spread(e.trades, e.tape.mid), "ticks"),
    "price impact, 10 steps": Measure(lambda e: quality.price_impact(e.trades, e.tape.mid), "ticks"),
    **{f"depth, {levels} levels": Measure(partial(_depth, levels), "lots") for levels in quality.LEVELS},
    "volume": Measure(lambda e: float(e.tape.volume.mean()), "lots per step"),
    "Amihud's illiquidity": Measure(lambda e: quality.amihud(e.tape.mid, e.tape.volume), "|return| per lot"),
    **{
        f"variance ratio, {steps} steps": Measure(partial(_ratio, steps), "1: a random walk")
        for steps in quality.RATIOS
    },
    "pricing error": Measure(lambda e: quality.pricing_error(e.tape.mid, e.worth), "ticks"),
    "order-flow imbalance, R2 with moves": Measure(_imbalance, ""),
    "order-flow balance": Measure(lambda e: quality.flow_balance(e.tape.flow), "0: both ways, 1: one way"),
    "resilience": Measure(lambda e: quality.resilience(e.depth), "steps until a spread shock has halved"),
}


def over_episodes(played: Sequence[Episode]) -> dict[str, float | None]:
    """Each measure's mean over the episodes in which it is a number; None where there is no such episode."""
    return {name: _mean([measure.of(episode) for episode in played]) for name, measure in MEASURES.items()}


def _mean(values: Sequence[float]) -> float | None:
    found = [value for value in values if np.isfinite(value)]
    return float(np.mean(found)) if found else None
