"""QMIX: what the team's joint action is worth rises with what each agent values its own choice at.

Rashid et al. 2018, "QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning",
arXiv:1803.11485.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Final

import torch
from pydantic import Field
from torch import Tensor

from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.game import Game
from trainer.algorithms.losses.q_learning import monotonic_value
from trainer.algorithms.value_based import ValueConfig, ValueLearner
from trainer.networks import Networks

DEPARTURE: Final = 0.1
"""Factor of what the linear hypernetwork says: at 1 the weights change faster than agents' values can follow."""


class QmixConfig(ValueConfig):
    """Settings of QMIX."""

    mixing_width: int = Field(32, ge=1, description="E, width of the mixing network's hidden layer")
    mixing_scale: float = Field(10.0, gt=0, description="size of values at which the mixing network is not linear")


class Qmix(ValueLearner):
    """Section 4; hypernetworks read the global state, and the team's reward is the sum of the agents'."""

    Config: ClassVar[type[LearnerConfig]] = QmixConfig
    config: QmixConfig
    reads_state: ClassVar[bool] = True

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why it cannot learn a game, or None."""
        if not game.state_width:
            return "expected a global state, got none"
        return ValueLearner.misfit(game)

    def mixing_networks(self, generator: torch.Generator) -> list[Networks]:
        """The hypernetworks: a linear one of W_1, b_1 and W_2, and one with a hidden layer of b_2."""
        s, e = self.game.state_width, self.config.mixing_width
        return [
            Networks(1, (s, (self.game.size + 2) * e), "relu", generator),
            Networks(1, (s, e, 1), "relu", generator),
        ]

    def mix(self, q: Tensor, state: Tensor, networks: Sequence[Networks]) -> Tensor:
        """The mixing network; the linear hypernetwork says how its weights depart from those of the sum."""
        n, e, scale = self.game.size, self.config.mixing_width, self.config.mixing_scale
        linear, deep = networks
        w_1, b_1, w_2 = torch.split(DEPARTURE * linear(state[None])[0], [n * e, e, e], dim=-1)
        w_1 = torch.unflatten(1.0 + w_1, -1, (n, e)) / scale
        return monotonic_value(q, w_1, b_1, (1.0 + w_2) * scale / e, deep(state[None])[0, :, 0])
