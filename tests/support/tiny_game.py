"""A game of somebody's own, batched: both agents are paid what they say, three times."""

import builtins
import os
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from agora.errors import IllegalAction
from env_server.environments.base import EnvironmentConfig, Step

NOT_A_GAME = 3


class TinyConfig(EnvironmentConfig):
    pay: float = 1.0


class Tiny:
    Config: ClassVar[type[EnvironmentConfig]] = TinyConfig
    agents = ("left", "right")

    def __init__(self, config, num_envs):
        self.config, self.num_envs = config, num_envs
        self.state_space: Any = spaces.Box(0, 3, (), np.int32)
        self.observation_spaces: Any = dict.fromkeys(self.agents, self.state_space)
        self.action_spaces: Any = dict.fromkeys(self.agents, spaces.Discrete(3))
        self.facts: dict[str, Any] = {}

    def reset(self, seed, copies):
        self.number = 0
        return self._show(np.zeros((self.num_envs, 2)))

    def step(self, actions):
        self.number += 1
        return self._show(np.stack([said[""] for said in actions], axis=1) * self.config.pay)

    def _show(self, rewards):
        seen = {"": np.full(self.num_envs, self.number, np.int32)}
        over = np.full((self.num_envs, 2), self.number == 3)
        return Step([seen, seen], seen, rewards.astype(float), np.zeros_like(over), over, ~over)


class FaultyConfig(TinyConfig):
    fault: str = "none"
    kind: str = "ValueError"


class Faulty(Tiny):
    """Raises ``kind`` in the call that ``fault`` names, and nobody may play 2."""

    Config = FaultyConfig

    def __init__(self, config, num_envs):
        super().__init__(config, num_envs)
        self._fail("build")

    def _fail(self, call):
        if self.config.fault == call:
            raise getattr(builtins, self.config.kind)("a secret of the game")

    def reset(self, seed, copies):
        self._fail("reset")
        return super().reset(seed, copies)

    def step(self, actions):
        self._fail("step")
        for agent, said in zip(self.agents, actions, strict=True):
            if (said[""] == 2).any():
                raise IllegalAction(f"{agent}.action", "0 or 1", "2")
        return super().step(actions)

    def payoff(self, actions, gradient):
        if (actions == 2).any():
            raise IllegalAction("actions", "0 or 1", "2")
        self._fail("payoff")
        return actions[:, :, 0], None


class Silent(Tiny):
    """As ``Tiny``, but the end is not told; ``left`` says in ``alive`` that it goes, one step before."""

    def _show(self, rewards):
        step = super()._show(rewards)
        over = step.terminated | step.truncated
        alive = np.ones_like(over)
        alive[:, 0] = self.number < 2
        return replace(step, truncated=np.zeros_like(over), awaited=step.awaited & alive, alive=alive)


class PaysNan(Tiny):
    """Pays its last copy's right agent what is no number, in the second step."""

    def _show(self, rewards):
        if self.number == 2:
            rewards = rewards.astype(float)
            rewards[-1, 1] = np.nan
        return super()._show(rewards)


class Unbuilt(Tiny):
    """Fails when it is built."""

    def __init__(self, config, num_envs):
        raise KeyError("a secret of the game")


class Deadly(Tiny):
    """Takes its process with it."""

    def __init__(self, config, num_envs):
        os._exit(5)


class NeedyConfig(TinyConfig):
    who: str


class Needy(Tiny):
    Config = NeedyConfig
