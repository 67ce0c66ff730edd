"""Copies of the critics that judge deviations from one moment, fitted to what was evaluated there.

Training fits critics to everything that policies met, with step sizes that fade. A search needs them right where it
leads, at once and in the scale of the gains there. Copies can be hurried so without unsettling the critics that train
actors; what was evaluated reaches those through the replay, as any other experience.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.algorithms.losses.deterministic import critic_loss
from trainer.optimiser import Adam
from trainer.stage.base import OwnValues
from trainer.stage.minds import Minds
from trainer.stage.replay import Indices, Replay, draw
from trainer.stage.scaling import Scaling

BATCH, FRESH = 96, 82
"""Transitions per update, and how many of them are drawn from those of the check."""
RATE: Final = 3e-3
"""Adam's step size at the start of a fit; it falls to zero as the square root of what is left."""
EMPHASIS, RANKS = 6.0, 8.0
"""An agent's best deviation is drawn 1 + EMPHASIS times as often as a poor one; that fades by e in RANKS ranks."""


class Appraiser:
    """Critics of all agents, as they are now, to be fitted further without changing the original."""

    def __init__(
        self, minds: Minds, replay: Replay, age_half_life: float, fits: bool, state: Tensor, rivals: Tensor
    ) -> None:
        """Copy critics.

        Args:
            minds: whose critics.
            replay: the experience.
            age_half_life: as the learner draws.
            fits: whether payoffs are all of an action's value, so that critics can be fitted to them.
            state: what critics see at the moment, (N or 1, 1, S).
            rivals: joint action there, (N, A).
        """
        self._minds, self._replay, self._half_life = minds, replay, age_half_life
        self._fits, self._state, self._rivals = fits, state, rivals
        self._critic, self._rewards = minds.critic.copy(), minds.rewards
        self._critic.differentiable(True)

    def refit(self, newest: int, updates: int, spread: NDArray[np.float64], draws: np.random.Generator) -> None:
        """Fit mostly to the newest transitions, their best foremost, and else to all.

        Args:
            newest: how many transitions the check has added.
            updates: how many steps.
            spread: (N,), positive, differences of payoff that matter to each agent: the new unit of its values.
            draws: what transitions are drawn by.
        """
        if not self._fits:
            return
        self._rescale(torch.from_numpy(spread.astype(np.float32))[:, None])
        adam = Adam(self._critic.parameters)
        for step, places in enumerate(self._draw(newest, updates, draws)):
            y = self._rewards(self._replay.own("rewards", places))
            seen, actions = self._replay.own("critic_state", places), self._replay.take("actions", places)
            loss = critic_loss(self._minds.values(self._critic, seen, actions), y).sum()
            adam.step(loss, RATE * float(np.sqrt(1.0 - step / updates)))

    def _rescale(self, spread: Tensor) -> None:
        """Count values in another unit (N, 1); what they mean stays."""
        factor = 1.0 / spread
        change = (factor / self._rewards.factor)[:, :, None]
        with torch.no_grad():
            self._critic.weights[-1].mul_(change)
            self._critic.biases[-1].mul_(change)
        self._rewards = Scaling(self._rewards.shift, factor)

    def _draw(self, newest: int, updates: int, draws: np.random.Generator) -> Indices:
        """Places (updates, N, BATCH)."""
        n = len(self._rivals)
        fresh = self._replay.odds(np.inf, newest)[:n]
        others = self._replay.odds(self._half_life)[:n]
        rewards = self._replay.column("rewards")
        return np.stack(
            [
                np.concatenate(
                    [
                        draw(_emphasised(fresh[i], rewards[:, i]), draws.random((updates, FRESH))),
                        draw(others[i], draws.random((updates, BATCH - FRESH))),
                    ],
                    axis=1,
                )
                for i in range(n)
            ],
            axis=1,
        )

    @property
    def own_values(self) -> OwnValues:
        """Each agent's critic as a function of its own action, in reward units."""

        def values(own: Tensor) -> Tensor:
            joint = self._minds.deviate(own, self._rivals)
            seen = self._state.expand(-1, own.shape[1], -1)
            return self._rewards.inverse(self._minds.values(self._critic, seen, joint))

        return values


def _emphasised(odds: NDArray[np.float64], rewards: NDArray[np.float32]) -> NDArray[np.float64]:
    """Odds (K,) with those of the best own deviations raised: a search ends among them."""
    own = np.flatnonzero(odds >= 1.0)
    ranks = np.argsort(np.argsort(-rewards[own]))
    raised = odds.copy()
    raised[own] *= 1.0 + EMPHASIS * np.exp(-ranks / RANKS)
    return raised
