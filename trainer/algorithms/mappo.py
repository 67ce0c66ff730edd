"""MAPPO, with a critic of the global state, and IPPO, with critics of what each agent sees.

Yu et al. 2021, "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", arXiv:2103.01955.
De Witt et al. 2020, "Is Independent Learning All You Need in the StarCraft Multi-Agent Challenge?", arXiv:2011.09533.
"""

from __future__ import annotations

from torch import Tensor

from trainer.algorithms.game import Game
from trainer.algorithms.on_policy import OnPolicyLearner
from trainer.networks import Networks


class Mappo(OnPolicyLearner):
    """Yu et al.; one critic of the global state, with a value for each agent."""

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why it cannot learn a game, or None."""
        reason = OnPolicyLearner.misfit(game)
        return "expected a global state, got none" if reason is None and not game.state_width else reason

    def _critics(self, members: list[int]) -> Networks:
        widths = (self.game.state_width, *self.config.critic_hidden, self.game.size)
        return Networks(1, widths, self.config.activation, self._draws)

    def _views(self, seen: Tensor, state: Tensor) -> Tensor:
        return state


class Ippo(OnPolicyLearner):
    """De Witt et al.; a critic per agent that sees its observation alone."""

    def _critics(self, members: list[int]) -> Networks:
        widths = (self.game.observation_width, *self.config.critic_hidden, 1)
        return Networks(len(set(members)), widths, self.config.activation, self._draws, 1.0, members)

    def _views(self, seen: Tensor, state: Tensor) -> Tensor:
        return seen
