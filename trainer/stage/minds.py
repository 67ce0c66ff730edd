"""Actors and critics of all agents, and the fixed scales in which they read and value things."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.networks import Networks
from trainer.stage.config import DdpgConfig
from trainer.stage.layout import Layout
from trainer.stage.replay import Replay
from trainer.stage.scaling import Scaling


class CriticView(Protocol):
    """What an algorithm's critics read; this is all in which the algorithms here differ."""

    views: int
    """1 where all critics see the same, else N."""
    state_width: int
    """Numbers that one critic sees beside actions."""
    action_width: int
    """Numbers of the joint action that one critic reads."""

    def actions(self, joint: Tensor) -> Tensor:
        """What agent i's critic reads, (N, B, action_width), of its joint actions (N, B, N, A)."""
        ...


class Minds:
    """Networks and scales of N agents.

    Attributes:
        actor, critic: being trained.
        averaged, target: following them (Polyak averages).
        low, width: of the action's bounds.
        room: the same as ``width``, but 1 where bounds are equal: what an action is divided by.
        rewards, observations, states: scales of rewards, observations and what critics see beside actions.
    """

    def __init__(self, config: DdpgConfig, layout: Layout, view: CriticView, generator: torch.Generator) -> None:
        n = layout.agents
        actor = (layout.observation_width, *config.actor_hidden, layout.action_width)
        critic = (view.state_width + view.action_width, *config.critic_hidden, 1)
        self.actor = Networks(n, actor, config.activation, generator, config.last_gain)
        self.critic = Networks(n, critic, config.activation, generator)
        self.averaged, self.target = self.actor.copy(), self.critic.copy()
        self.rewards = Scaling.identity(n)
        self.observations = Scaling.identity(n, layout.observation_width)
        self.states = Scaling.identity(view.views, view.state_width)
        self._view, self._n, self._leak = view, n, config.leak
        self.low, high = torch.from_numpy(layout.low), torch.from_numpy(layout.high)
        self.width = high - self.low
        self.room = torch.where(self.width > 0.0, self.width, 1.0)
        self._own = torch.eye(n, dtype=torch.bool)[:, None, :, None]
        self._action_bound = config.action_scale
        self._action_factor = 2.0 * config.action_scale / self.room

    def fix_scales(self, replay: Replay, config: DdpgConfig) -> None:
        """Find the scales from the experience so far; centring rewards is harmless only where nothing follows."""
        self.rewards = Scaling.of(replay.column("rewards"), 1.0, centred=config.discount == 0.0)
        if config.normalise:
            self.observations = Scaling.of(replay.column("observations"), config.observation_scale)
            self.states = Scaling.of(replay.column("critic_state"), config.state_scale)

    def logits(self, actor: Networks, observations: Tensor) -> Tensor:
        """The heads' inputs (N, B, A) at observations (N, B, O)."""
        return actor(self.observations(observations))

    def actions(self, logits: Tensor) -> Tensor:
        """Actions within bounds (N, B, A). Their slope never vanishes, though a saturated sigmoid's does."""
        leak = self._leak * (logits - logits.detach())
        return self.low + self.width * (torch.sigmoid(logits) + leak)

    def play(self, actor: Networks, observations: Tensor) -> Tensor:
        """Actions (N, B, A) at observations (N, B, O), without gradients."""
        with torch.no_grad():
            return self.low + self.width * torch.sigmoid(self.logits(actor, observations))

    def deviate(self, own: Tensor, rivals: Tensor) -> Tensor:
        """Joint actions (N, B, N, A): in the i-th, agent i plays own[i] of (N, B, A), others as in rivals (B, N, A)."""
        return torch.where(self._own, own.unsqueeze(2), rivals)

    def values(self, critic: Networks, state: Tensor, joint: Tensor) -> Tensor:
        """Scaled values (N, B) at what critics see (N, B, S) or (1, B, S) and joint actions (N, B, N, A)."""
        acted = self._view.actions((joint - self.low) * self._action_factor - self._action_bound)
        seen = self.states(state).expand(self._n, -1, -1)
        return critic(torch.cat([seen, acted], dim=-1)).squeeze(-1)

    def state_dict(self) -> dict[str, Any]:
        """All networks and scales."""
        networks = {name: getattr(self, name).state_dict() for name in _NETWORKS}
        return networks | {name: getattr(self, name).state_dict() for name in _SCALES}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        for name in _NETWORKS:
            getattr(self, name).load_state_dict(state[name])
        for name in _SCALES:
            setattr(self, name, Scaling.from_state(state[name]))


_NETWORKS = ("actor", "critic", "averaged", "target")
_SCALES = ("rewards", "observations", "states")
