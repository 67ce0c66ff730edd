"""A game of several decisions: whoever waits is paid more, and whether that is right depends on the discount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import Field

from env_server.environments.base import EnvironmentConfig, Step, Values

SPEND, SAVE = range(2)


class SavingConfig(EnvironmentConfig):
    """Settings of the game."""

    pays: tuple[tuple[float, ...], ...]
    """Per agent, what spending pays after 0, 1, 2 ... decisions in a row to save; as many as an episode has steps."""
    costs: float = Field(0.0)
    """What spending costs each other agent."""


class Saving:
    """See ``env_server.environments.base.Environment``.

    In each of T steps every agent spends or saves; spending pays for what was saved and begins anew. It sees the step
    and how often it has saved since, one-hot, float32 (B, 2 T); the global state is what all see.
    """

    Config: ClassVar[type[EnvironmentConfig]] = SavingConfig

    def __init__(self, config: SavingConfig, num_envs: int) -> None:
        self.config: Any = config
        self.facts: Mapping[str, Any] = {}
        self.num_envs = num_envs
        self._pays = np.array(config.pays)
        count, self.steps = self._pays.shape
        self.agents = tuple(f"saver_{i}" for i in range(count))
        seen = spaces.Box(0.0, 1.0, (2 * self.steps,), np.float32)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, spaces.Discrete(2))
        self.state_space: spaces.Space[Any] = spaces.Box(0.0, 1.0, (2 * self.steps * count,), np.float32)

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Nobody has saved anything."""
        self._at = 0
        self._saved = np.zeros((self.num_envs, len(self.agents)), np.int64)
        return self._show(np.zeros(self._saved.shape))

    def step(self, actions: Sequence[Values]) -> Step:
        """Pay who spends, from what was saved."""
        spends = np.stack([own[""] for own in actions], axis=1) == SPEND
        paid = np.where(spends, self._pays[np.arange(len(self.agents)), self._saved], 0.0)
        others = spends.sum(axis=1, keepdims=True) - spends
        self._saved = np.where(spends, 0, self._saved + 1)
        self._at += 1
        return self._show(paid - self.config.costs * others)

    def _show(self, rewards: NDArray[np.float64]) -> Step:
        seen = np.zeros((*self._saved.shape, 2 * self.steps), np.float32)
        over = np.full(rewards.shape, self._at == self.steps)
        if self._at < self.steps:
            seen[:, :, self._at] = 1.0
            np.put_along_axis(seen, self.steps + self._saved[:, :, None], 1.0, axis=2)
        return Step(
            observations=[{"": np.ascontiguousarray(seen[:, i])} for i in range(len(self.agents))],
            state={"": seen.reshape(self.num_envs, -1)},
            rewards=rewards,
            terminated=over,
            truncated=np.zeros_like(over),
            awaited=~over,
        )
