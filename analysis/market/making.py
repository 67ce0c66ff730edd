"""The best a market maker can do against Poisson takers: exactly in the environment's steps, and in continuous time.

In the limit of Avellaneda and Stoikov (2008, "High-frequency trading in a limit order book", section 2) a quote at
distance δ from a middle that nobody moves trades with intensity A e^{-kδ}. Cartea, Jaimungal and Penalva (2015,
"Algorithmic and High-Frequency Trading", section 10.2) solve it in closed form for a running inventory penalty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from agora.market.choices import OFFSETS

Floats = NDArray[np.float64]

DISTANCES: Final = np.append(1.0 + OFFSETS, np.inf)
"""Of a maker's quotes from a whole middle, in ticks, by its choice."""


@dataclass(frozen=True)
class Making:
    """A maker's task; one lot at a time.

    Attributes:
        arrivals: probability that a taker comes in a step, on either side alike.
        reach: ticks, 1 / k.
        limit: lots that may be held or owed.
        penalty: ticks per lot, squared, and step.
        steps: of an episode; what is quoted in the last one trades no more.
    """

    arrivals: float
    reach: float
    limit: int
    penalty: float
    steps: int

    @classmethod
    def of(cls, config: dict[str, Any]) -> Making:
        """The task in a market's configuration.

        Raises:
            ValueError: it is not a market of one maker and one Poisson taker, a step late, around its worth.
        """
        crowd = config["crowd"]
        late = [(taker["style"], taker.get("count", 1), taker.get("latency")) for taker in crowd]
        if not config.get("anchored") or late != [("poisson", 1, 1)]:
            raise ValueError(f"crowd: expected an anchored market with one Poisson taker of latency 1, got {crowd}")
        taker = crowd[0]
        return cls(
            arrivals=taker["activity"],
            reach=taker["away"],
            limit=config["position_limit"],
            penalty=config["inventory_penalty"],
            steps=config["steps"],
        )

    @property
    def inventories(self) -> NDArray[np.int64]:
        """All that may be held, int64 (2 limit + 1,)."""
        return np.arange(-self.limit, self.limit + 1)


def best_return(task: Making) -> float:
    """The largest expected return of an episode, by backward induction.

    An action is chosen before it is known what the quotes of the step before have traded, so a state is the inventory
    that was seen and the quotes that stand. Chances of up to three outcomes follow from these: nothing, the bid trades,
    the ask trades.
    """
    held, pairs = task.inventories, _pairs()
    chances = 0.5 * task.arrivals * np.exp(-pairs / task.reach)  # (P, 2)
    bids = np.where(held[:, None] < task.limit, chances[:, 0], 0.0)  # (Q, P)
    asks = np.where(held[:, None] > -task.limit, chances[:, 1], 0.0)
    gains = bids * _finite(pairs[:, 0]) + asks * _finite(pairs[:, 1])
    up, down = np.minimum(held + 1, task.limit), np.maximum(held - 1, -task.limit)
    costs = task.penalty * ((1.0 - bids - asks) * _square(held) + bids * _square(up) + asks * _square(down))
    later = np.zeros((len(held), len(pairs)))  # of the states after a step: inventory, quotes that stand
    for _ in range(task.steps - 1):
        later = gains - costs + _chosen(later, bids, asks)
    # The first action meets no quotes, and nothing is held.
    return float(later[task.limit].max())


def _chosen(later: Floats, bids: Floats, asks: Floats) -> Floats:
    """The best next quotes' expected value, (Q, P) by what is held and what stands now."""
    risen, fallen = np.roll(later, -1, axis=0), np.roll(later, 1, axis=0)
    found = np.empty_like(later)
    for pair in range(later.shape[1]):
        bid, ask = bids[:, pair, None], asks[:, pair, None]
        found[:, pair] = ((1.0 - bid - ask) * later + bid * risen + ask * fallen).max(axis=1)
    return found


def _pairs() -> Floats:
    """Distances of all pairs of quotes, (P, 2)."""
    return np.stack(np.meshgrid(DISTANCES, DISTANCES, indexing="ij"), axis=-1).reshape(-1, 2)


def _finite(distances: Floats) -> Floats:
    return np.where(np.isfinite(distances), distances, 0.0)


def _square(held: NDArray[np.int64]) -> Floats:
    return held[:, None].astype(np.float64) ** 2


def continuous_return(task: Making) -> float:
    """The same where time and prices are continuous: h(0, 0) of Cartea, Jaimungal and Penalva, equation 10.24.

    With h = ln(ω) / k, ω' = -Aω and ω(T) = 1, where A has -kφq² on its diagonal and λ/e beside it.
    """
    k, held = 1.0 / task.reach, task.inventories
    rates = np.diag(-k * task.penalty * held.astype(np.float64) ** 2)
    beside = 0.5 * task.arrivals * math.exp(-1.0)
    rates += np.diag(np.full(len(held) - 1, beside), 1) + np.diag(np.full(len(held) - 1, beside), -1)
    omega = expm(rates * (task.steps - 1)) @ np.ones(len(held))
    return float(np.log(omega[task.limit]) / k)
