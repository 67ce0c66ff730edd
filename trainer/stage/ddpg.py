"""Deterministic policy gradient with one critic and one actor per agent, all agents in one batched product.

What centralised and mean field critics share: an algorithm only says what its critics see (``CriticView`` and
``critic_state``). Lowe et al. 2017, arXiv:1706.02275; Yang et al. 2018, arXiv:1802.05438.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.actor import Actor
from trainer.networks import Networks
from trainer.segments import Segment
from trainer.spec import GameSpec
from trainer.stage.appraisal import Appraiser
from trainer.stage.base import Situation
from trainer.stage.config import DdpgConfig
from trainer.stage.experience import evaluations, transitions
from trainer.stage.gradients import ADOPT_STEPS, Gradients
from trainer.stage.layout import Layout, Leaves
from trainer.stage.minds import Minds
from trainer.stage.replay import Floats, Indices, Replay, Transitions, draw


class DdpgLearner:
    """See ``Learner``.

    Attributes:
        config: settings.
        layout: of the game.
        updates: gradient steps taken, which numbers policy versions.
        experience: joint actions learned from.
        views, state_width, action_width: see ``CriticView``.
    """

    views: int
    state_width: int
    action_width: int

    def __init__(self, config: DdpgConfig, spec: GameSpec, seed: int) -> None:
        self.config, self.layout = config, Layout.of(spec)
        self.updates = self.experience = 0
        self.look_at(self.layout)
        self._minds = Minds(config, self.layout, self, torch.Generator().manual_seed(seed))
        self._replay = Replay(config.capacity)
        self._gradients = Gradients(config, self._minds, self._replay)
        self._draws = np.random.default_rng(seed)
        self._owed = 0.0
        self._ready = False

    @abstractmethod
    def look_at(self, layout: Layout) -> None:
        """Set ``views``, ``state_width`` and ``action_width`` for a game."""

    @abstractmethod
    def critic_state(self, state: Leaves, observations: Sequence[Leaves]) -> Floats:
        """What critics see beside actions, float32 (K, views, state_width)."""

    @abstractmethod
    def actions(self, joint: Tensor) -> Tensor:
        """See ``CriticView``."""

    def add(self, segment: Segment) -> None:
        """Take in a block of experience.

        Raises:
            ValueError: its shapes differ from what came before, or something is not finite.
        """
        ahead = self.config.discount > 0.0
        self._take_in(transitions(segment, self.layout, self.critic_state, self.config.rival_weight, ahead))

    def add_evaluations(self, situation: Situation, actions: NDArray[np.float32], payoffs: NDArray[np.float64]) -> None:
        """Take in payoffs (K, N) of joint actions (K, N, A) evaluated at a situation.

        A payoff is the whole of an action's value only if nothing follows, so at a discount above 0 they are ignored.
        """
        if self.config.discount == 0.0:
            critic_state = self.critic_state(situation.state, situation.observations)
            observations = self.layout.observations(situation.observations)
            departed = (actions != situation.actions).any(axis=2)
            weight = self.config.rival_weight
            self._take_in(evaluations(critic_state, observations, actions, payoffs, departed, weight))

    def _take_in(self, batch: Transitions) -> None:
        self._replay.add(batch)
        self.experience += len(batch)
        if not self._ready and len(self._replay) >= self.config.warmup:
            self._ready = True
            self._minds.fix_scales(self._replay, self.config)

    def update(self, steps: int) -> dict[str, float]:
        """Learn as much as ``steps`` more joint actions allow; returns mean losses, none before the warm-up's end."""
        if not self._ready:
            return {}
        self._owed += steps * self.config.updates_per_step
        count = int(self._owed)
        self._owed -= count
        places, seen = self._draw(count, self.config.batch_size, None)
        critic = actor = 0.0
        pace = self._pace()
        for step in range(count):
            critic += self._gradients.critics(places[step], pace)
            if self.experience >= self.config.actor_delay:
                actor += self._gradients.actors(seen[step], pace)
        self.updates += count
        return {"critic": critic / max(count, 1), "actor": actor / max(count, 1)}

    def refit(self, newest: int, updates: int) -> None:
        """Fit critics to the newest transitions, half of every batch, and to all others."""
        if not self._ready:
            return
        half = max(1, self.config.batch_size // 2)
        fresh, _ = self._draw(updates, half, newest)
        others, _ = self._draw(updates, half, None)
        for places in np.concatenate([fresh, others], axis=2):
            self._gradients.critics(places, self._pace())
        self.updates += updates

    def _pace(self) -> float:
        """Share of the step sizes that remains by now."""
        half_life = self.config.rate_half_life or np.inf
        return max(self.config.rate_floor, float(0.5 ** (self.experience / half_life)))

    def _draw(self, count: int, size: int, newest: int | None) -> tuple[Indices, Indices]:
        """Places (count, N, size) for critics and (count, actor batch) for actors."""
        odds = self._replay.odds(self.config.age_half_life or np.inf, newest)
        n, seen = self.layout.agents, self.config.actor_batch_size
        own = [draw(odds[i], self._draws.random((count, size))) for i in range(n)]
        return np.stack(own, axis=1), draw(odds[n], self._draws.random((count, seen)))

    def adopt(self, actions: NDArray[np.float32], wanted: NDArray[np.bool_]) -> None:
        """Make the wanted agents' actors play their rows of actions (N, A), wherever they are."""
        _, seen = self._draw(ADOPT_STEPS, 1, None)
        self._gradients.imitate(seen, torch.from_numpy(actions), torch.from_numpy(wanted))
        self.updates += ADOPT_STEPS

    @property
    def acting(self) -> Networks:
        """The actors that act."""
        return self._minds.averaged if self.config.act_averaged else self._minds.actor

    def act(self, observations: Sequence[Leaves]) -> NDArray[np.float32]:
        """Greedy actions (K, N, A) at observation leaves (K, ...) per agent."""
        seen = torch.from_numpy(self.layout.observations(observations)).transpose(0, 1)
        played: NDArray[np.float32] = self._minds.play(self.acting, seen).transpose(0, 1).numpy()
        return np.ascontiguousarray(played)

    def appraiser(self, situation: Situation) -> Appraiser:
        """Copies of the critics, to judge own actions at a situation."""
        state = torch.from_numpy(self.critic_state(situation.state, situation.observations)).transpose(0, 1)
        fits = self._ready and self.config.discount == 0.0
        half_life = self.config.age_half_life or np.inf
        return Appraiser(self._minds, self._replay, half_life, fits, state, torch.from_numpy(situation.actions))

    def actors(self) -> list[Actor]:
        """The actors that act."""
        layout = self.layout
        return [
            Actor(layout.observation, layout.action, self._layers(i), self.config.activation, bounded=True)
            for i in range(layout.agents)
        ]

    def _layers(self, index: int) -> list[tuple[Floats, Floats]]:
        """Weights (in, out) and biases (out,), scales folded in."""
        layers = [(weight.double(), bias.double()) for weight, bias in self.acting.member(index)]
        scale = self._minds.observations
        shift, factor = scale.shift[index, 0].double(), scale.factor[index, 0].double()
        weight, bias = layers[0]
        layers[0] = (factor[:, None] * weight, bias - (shift * factor) @ weight)
        return [(weight.float().numpy(), bias.float().numpy()) for weight, bias in layers]

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        counts = {"updates": self.updates, "experience": self.experience, "owed": self._owed, "ready": self._ready}
        return {
            "counts": counts,
            "minds": self._minds.state_dict(),
            "gradients": self._gradients.state_dict(),
            "replay": self._replay.state_dict(),
            "draws": self._draws.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        self._minds.load_state_dict(state["minds"])
        self._gradients.load_state_dict(state["gradients"])
        self._replay.load_state_dict(state["replay"])
        self._draws.bit_generator.state = state["draws"]
        counts = state["counts"]
        self.updates, self.experience = int(counts["updates"]), int(counts["experience"])
        self._owed, self._ready = float(counts["owed"]), bool(counts["ready"])
