"""IDQN: every agent learns values of its own choices, of its own reward, as if the others were part of the game.

Tampuu et al. 2015, "Multiagent Cooperation and Competition with Deep Reinforcement Learning", arXiv:1511.08779.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from trainer.algorithms.value_based import ValueLearner
from trainer.networks import Networks


class Idqn(ValueLearner):
    """Deep Q-learning per agent, with double Q-learning for the targets."""

    team: ClassVar[bool] = False

    def mix(self, q: Tensor, state: Tensor, networks: Sequence[Networks]) -> Tensor:
        """Each agent's own value."""
        return q
