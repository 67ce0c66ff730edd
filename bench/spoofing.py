"""What manipulators do to a market, and to whom: each paired with itself doing nothing, under the same seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.market.choices import NO_QUOTE
from analysis.market.manipulation import Course, displacement, interval, profits
from bench.report import Row
from env_server.environments.market.book.records import CASH
from env_server.environments.market.config import Crowd, MarketConfig, Worth
from env_server.environments.market.kernels import compiled
from env_server.environments.market.state import opened

TITLE = "a spoofer moves book readers and gains from them, not from zero intelligence; four other manipulators"

STEPS: Final = 2_000
MANIPULATOR: Final = 1
"""The agent behind the seat, which stays idle."""


@dataclass(frozen=True)
class Scene:
    """A manipulator among those it is after.

    Attributes:
        manipulator: one trader.
        victims: traders of one style, who come next.
        others: everybody else.
    """

    manipulator: Crowd
    victims: Crowd
    others: tuple[Crowd, ...]
    worth: Worth = Worth(volatility=0.1)

    def played(self, seeds: int, steps: int = STEPS, **changes: float) -> Course:
        """Play a market per seed, with changes to the manipulator's settings."""
        first = self.manipulator.model_copy(update=changes)
        config = MarketConfig(crowd=(first, self.victims, *self.others), worth=self.worth, steps=steps)
        return course(config, seeds)


def course(config: MarketConfig, seeds: int) -> Course:
    """Play markets whose one seat, a maker's, does nothing."""
    markets = opened(config, seeds)
    markets["key"] = np.arange(1, seeds + 1)
    agents = int(markets["settings"]["agents"][0])
    actions, rewards = np.full((seeds, 1, 3), NO_QUOTE), np.zeros((seeds, 1))
    actions[:, :, 2] = 0
    accounts = markets["book"]["accounts"][:, :agents]
    parties = np.cumsum([0, MANIPULATOR, *(crowd.count for crowd in config.crowd[:2])])
    mid, worth, resting = np.zeros((3, config.steps, seeds))
    cash, shares = np.zeros((2, config.steps, seeds, len(parties)))
    for step in range(config.steps):
        compiled().advance(markets, actions, rewards)
        mid[step], worth[step] = markets["sight"]["mid"], markets["worth"]
        resting[step] = accounts["open"][:, MANIPULATOR, 0]
        cash[step] = np.add.reduceat(accounts["cash"] / CASH - config.cash * 100, parties, axis=1)
        shares[step] = np.add.reduceat(accounts["shares"], parties, axis=1)
    return Course(mid, worth, cash, shares, resting)
