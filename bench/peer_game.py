"""The game of ``bench.peer_rules`` as an environment of this project, and its agents as authors write them.

``python -m env_server --game peer_game=bench.peer_game:PeerGame`` serves it;
``python -m bench.peer_game --listen ADDRESS`` answers for its agents.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pydantic import Field

from agora import Agent, serve
from agora.randomness import normal_rows
from bench.peer_rules import ACTIONS, WIDTH, decide, dynamics, rewards, weights
from env_server.environments.base import EnvironmentConfig, Step, Values

AGENTS = tuple(f"agent_{i}" for i in range(4))
GAME = "peer_game=bench.peer_game:PeerGame"


class PeerGameConfig(EnvironmentConfig):
    """Settings of the game."""

    episode_steps: int = Field(100, ge=1)
    """Steps in an episode."""
    times: str = ""
    """A file to which the seconds between steps are appended at an episode's end, a JSON list a line."""


class PeerGame:
    """See ``env_server.environments.base.Environment``."""

    Config: ClassVar[type[EnvironmentConfig]] = PeerGameConfig
    facts: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, config: PeerGameConfig, num_envs: int) -> None:
        self.config: Any = config
        self.num_envs = num_envs
        self.agents = AGENTS
        seen = spaces.Box(-np.inf, np.inf, (WIDTH,), np.float32)
        done = spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(AGENTS, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(AGENTS, done)
        self.state_space: spaces.Space[Any] = spaces.Box(-np.inf, np.inf, (len(AGENTS),), np.float32)

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Observations are drawn."""
        self._began: list[float] = []
        self._seen = np.stack([normal_rows(copies, WIDTH, seed, agent) for agent in range(len(AGENTS))])
        return self._show(np.zeros((self.num_envs, len(AGENTS))))

    def step(self, actions: Sequence[Values]) -> Step:
        """All agents act at once."""
        self._began.append(time.perf_counter())
        played = np.stack([values[""] for values in actions])
        self._seen = dynamics(self._seen, played)
        return self._show(rewards(played).T)

    def _show(self, earned: NDArray[np.float64]) -> Step:
        over = len(self._began) >= self.config.episode_steps
        if over and self.config.times:
            with Path(self.config.times).open("a") as file:
                file.write(json.dumps(np.diff(self._began).tolist()) + "\n")
        flags = np.zeros((self.num_envs, len(AGENTS)), np.bool_)
        return Step(
            observations=[{"": seen} for seen in self._seen],
            state={"": self._seen[:, :, 0].T},
            rewards=earned,
            terminated=flags,
            truncated=~flags if over else flags,
            awaited=flags if over else ~flags,
        )


class PeerAgent(Agent):
    """Decides by the weights of its seat."""

    def prepare(self) -> None:
        """Take the seat's weights."""
        self._own = weights(AGENTS.index(self.agent_id))

    def act(self, observation: Any, legal: Any) -> Any:
        """tanh(observation @ weights)."""
        return decide(observation, self._own)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    serve(PeerAgent(), listen=parser.parse_args().listen)
