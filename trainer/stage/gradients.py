"""Gradient steps of critics and actors on transitions that a replay holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.algorithms.losses.deterministic import critic_loss, logit_excess, policy_loss, target_value
from trainer.optimiser import Adam
from trainer.stage.config import DdpgConfig
from trainer.stage.minds import Minds
from trainer.stage.replay import Indices, Replay

ADOPT_STEPS, ADOPT_RATE = 150, 3e-3


class Gradients:
    """Takes steps; remembers the optimisers' moments."""

    def __init__(self, config: DdpgConfig, minds: Minds, replay: Replay) -> None:
        self._config, self._minds, self._replay = config, minds, replay
        self._actor_adam = Adam(minds.actor.parameters)
        self._critic_adam = Adam(minds.critic.parameters)

    def critics(self, places: Indices, pace: float) -> float:
        """One step of all critics, each on its own places (N, B); ``pace`` is a factor of the step size.

        Returns:
            The loss, a mean over agents.
        """
        replay, minds, config = self._replay, self._minds, self._config
        y = minds.rewards(replay.own("rewards", places))
        if config.discount > 0.0:
            y = target_value(y, config.discount, replay.own("continues", places), self._next_values(places))
        q = minds.values(minds.critic, replay.own("critic_state", places), replay.take("actions", places))
        losses = critic_loss(q, y)
        self._critic_adam.step(losses.sum(), pace * config.critic_rate)
        if config.discount > 0.0:
            minds.target.follow(minds.critic, config.averaging)
        return float(losses.detach().mean())

    def _next_values(self, places: Indices) -> Tensor:
        """Target critics' values (N, B) of what averaged actors do after the transitions."""
        minds, (n, b) = self._minds, places.shape
        seen = self._replay.take("next_observations", places)
        played = minds.play(minds.averaged, seen.permute(2, 0, 1, 3).reshape(n, n * b, -1))
        joint = played.reshape(n, n, b, -1).permute(1, 2, 0, 3)
        with torch.no_grad():
            return minds.values(minds.target, self._replay.own("next_critic_state", places), joint)

    def actors(self, places: Indices, pace: float) -> float:
        """One step of all actors at the same places (B,); ``pace`` is a factor of the step size.

        Returns:
            The policy loss, a mean over agents.
        """
        replay, minds, config = self._replay, self._minds, self._config
        logits = minds.logits(minds.actor, replay.take("observations", places).transpose(0, 1))
        own = minds.actions(logits)
        rivals = own.detach().transpose(0, 1) if config.rivals == "policy" else replay.take("actions", places)
        joint = minds.deviate(own, rivals)
        minds.critic.differentiable(False)
        losses = policy_loss(minds.values(minds.critic, replay.take("critic_state", places).transpose(0, 1), joint))
        excess = config.logit_penalty * logit_excess(logits, config.logit_limit)
        self._actor_adam.step((losses + excess).sum(), pace * config.actor_rate)
        minds.critic.differentiable(True)
        minds.averaged.follow(minds.actor, config.averaging)
        return float(losses.detach().mean())

    def imitate(self, places: Indices, actions: Tensor, wanted: Tensor) -> None:
        """Steps of the wanted (N,) agents' actors towards actions (N, A) at places (steps, B), then their averages too.

        The others' gradients are zero, with which Adam's first steps do nothing.
        """
        minds = self._minds
        goal = ((actions - minds.low) / minds.room).unsqueeze(1)
        mask = wanted.float()[:, None, None]
        adam = Adam(minds.actor.parameters)
        for seen in places:
            observations = self._replay.take("observations", seen).transpose(0, 1)
            error = torch.sigmoid(minds.logits(minds.actor, observations)) - goal
            adam.step((mask * error.square()).sum() / error.shape[1], ADOPT_RATE)
        minds.averaged.follow(minds.actor, 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Both optimisers' moments."""
        return {"actor": self._actor_adam.state_dict(), "critic": self._critic_adam.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self._actor_adam.load_state_dict(state.get("actor", {}))
        self._critic_adam.load_state_dict(state.get("critic", {}))
