"""A game of one agent, for measurements and tests of the dm_env_rpc endpoint.

Observations float32 (B, 32), actions float32 (B, 8) in [-1, 1]; a step is a few NumPy operations. It is given to an
environment server by ``--game one_seat=bench.dm_env_rpc_game:OneSeat``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import Field

from bench.peer_rules import ACTIONS, WIDTH, dynamics
from env_server.environments.base import EnvironmentConfig, Step, Values

GAME = "one_seat=bench.dm_env_rpc_game:OneSeat"


class OneSeatConfig(EnvironmentConfig):
    """Settings of the game."""

    episode_steps: int = Field(1_000_000, ge=1)
    """Steps in an episode."""
    cut: bool = True
    """Whether episodes are cut off at their end, or end by the rules."""


class OneSeat:
    """See ``env_server.environments.base.Environment``."""

    Config: ClassVar[type[EnvironmentConfig]] = OneSeatConfig
    facts: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, config: OneSeatConfig, num_envs: int) -> None:
        self.config: Any = config
        self.num_envs = num_envs
        self.agents = ("driver",)
        seen = spaces.Box(-np.inf, np.inf, (WIDTH,), np.float32)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = {"driver": seen}
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {"driver": spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)}
        self.state_space: spaces.Space[Any] = spaces.Box(-np.inf, np.inf, (1,), np.float32)

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """A copy begins with its number plus one everywhere."""
        self._number = 0
        self._seen = np.repeat(copies[:, None] + 1, WIDTH, axis=1).astype(np.float32)
        return self._show(np.zeros((self.num_envs, 1)))

    def step(self, actions: Sequence[Values]) -> Step:
        """The mean of an action is its reward."""
        self._number += 1
        self._seen = dynamics(self._seen, actions[0][""])
        return self._show(actions[0][""].mean(axis=1, keepdims=True, dtype=np.float64))

    def _show(self, rewards: NDArray[np.float64]) -> Step:
        over = np.full((self.num_envs, 1), self._number >= self.config.episode_steps)
        none = np.zeros_like(over)
        cut: bool = self.config.cut
        return Step(
            observations=[{"": self._seen}],
            state={"": self._seen[:, :1]},
            rewards=rewards,
            terminated=none if cut else over,
            truncated=over if cut else none,
            awaited=~over,
        )
