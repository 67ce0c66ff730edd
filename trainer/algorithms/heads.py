"""From an actor's outputs to actions: boxes through a sigmoid, choices one-hot."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from trainer.algorithms.game import Game
from trainer.algorithms.relaxation import masked, one_hot, standard_gumbel, straight_through


class Heads:
    """The actions of N agents, as ``Trajectories`` has them."""

    def __init__(self, game: Game, temperature: float) -> None:
        """Prepare.

        Args:
            game: all boxes with bounds, or all choices; see ``misfit``.
            temperature: of relaxed choices.
        """
        self._low = torch.from_numpy(game.low)[:, None]
        self._width = torch.from_numpy(game.high - game.low)[:, None]
        self._real = torch.from_numpy(game.real.astype(np.float32))[:, None]
        self._parts = _parts(game)
        self._temperature = temperature
        self.discrete = game.discrete

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why these heads do not fit a game, or None."""
        if game.continuous:
            return None if game.bounded else "expected actions with finite bounds, got a Box without"
        if not game.discrete:
            return "expected actions of one kind, got boxes and choices"
        return None if _parts(game) else "expected one choice each or all alike, got several that differ"

    def greedy(self, outputs: Tensor, legal: Tensor) -> Tensor:
        """Actions (N, B, A) of outputs (N, B, A); ``legal`` is (N, B, A) or (N, B, 0)."""
        if not self.discrete:
            return torch.addcmul(self._low, self._width, torch.sigmoid(outputs))
        return one_hot(self._possible(outputs, legal), self._parts)

    def relaxed(self, outputs: Tensor, legal: Tensor, draws: torch.Generator) -> Tensor:
        """The same with gradients; choices are drawn."""
        if not self.discrete:
            return torch.addcmul(self._low, self._width, torch.sigmoid(outputs))
        gumbel = standard_gumbel(outputs, draws)
        return straight_through(self._possible(outputs, legal), self._parts, self._temperature, gumbel)

    def explored(self, outputs: Tensor, noise: float, draws: np.random.Generator) -> Tensor:
        """As agent services explore: Gaussian noise clipped to the bounds, or choices drawn from the softmax."""
        if not self.discrete:
            added = torch.from_numpy(draws.standard_normal(outputs.shape, np.float32))
            actions = torch.addcmul(self._low, self._width, torch.sigmoid(outputs) + noise * added)
            return torch.clamp(actions, self._low, self._low + self._width)
        uniform = torch.from_numpy(draws.random(outputs.shape, np.float32)).clamp_min_(1e-30)
        return one_hot(self._possible(outputs, outputs[..., :0]) - torch.log(-torch.log(uniform)), self._parts)

    def smoothed(self, actions: Tensor, sigma: float, clip: float, draws: torch.Generator) -> Tensor:
        """Boxes (B, N, A) with clipped Gaussian noise, shares of the bounds (Fujimoto et al., equation 14)."""
        if self.discrete:
            return actions
        low, width = self._low[:, 0], self._width[:, 0]
        noise = (sigma * torch.randn(actions.shape, generator=draws)).clamp_(-clip, clip)
        return torch.clamp(torch.addcmul(actions, width, noise), low, low + width)

    def _possible(self, outputs: Tensor, legal: Tensor) -> Tensor:
        return masked(outputs, legal * self._real if legal.shape[-1] else self._real)


def _parts(game: Game) -> tuple[int, ...]:
    """Numbers of choices that all agents have; padding counts as choices that nobody takes."""
    if len(set(game.choices)) == 1:
        return game.choices[0]
    return (game.action_width,) if all(len(choices) == 1 for choices in game.choices) else ()
