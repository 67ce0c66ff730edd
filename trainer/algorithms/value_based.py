"""What IDQN, VDN and QMIX share: one Q network per agent, learned off-policy against target networks.

Mnih et al. 2015, Nature 518; van Hasselt et al. 2015, arXiv:1509.06461; Tampuu et al. 2015, "Multiagent Cooperation and
Competition with Deep Reinforcement Learning", arXiv:1511.08779.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from agora.settings import Widths
from trainer.actor import Actor
from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.losses.deterministic import target_value
from trainer.algorithms.losses.q_learning import chosen_value, double_q_value, td_loss
from trainer.algorithms.memory import Batch, Memory
from trainer.algorithms.off_policy import OffPolicyConfig, OffPolicyLearner
from trainer.algorithms.policies import actors_of
from trainer.algorithms.relaxation import masked
from trainer.algorithms.sharing import members_of
from trainer.exploration import Explore
from trainer.networks import Networks
from trainer.optimiser import Adam


class ValueConfig(OffPolicyConfig):
    """Settings of the value-based learners."""

    hidden: Widths = Field((64, 64), description="widths of the Q networks' hidden layers")
    share: bool | None = Field(
        None, description="agents with equal spaces share a Q network; None: where there are such agents"
    )
    discount: float = Field(0.9, ge=0, lt=1, description="γ")
    rate: float = Field(3e-3, gt=0, description="Adam's step size")
    rate_steps: int | None = Field(
        1_000_000, ge=1, description="steps in which the step size falls to rate_floor; None: never"
    )
    huber: float = Field(1.0, gt=0, description="δ, the temporal difference beyond which the loss is linear")
    batch_size: int = Field(512, ge=1, description="joint transitions per update")
    steps_per_update: float = Field(50.0, gt=0, description="steps between two updates")
    warmup: int = Field(5_000, ge=1, description="steps before anything is learned")
    epsilon_initial: float = Field(1.0, gt=0, le=1, description="share of random choices at first")
    epsilon_final: float = Field(0.05, gt=0, le=1, description="share of random choices in the end")
    epsilon_steps: int = Field(100_000, ge=1, description="steps in which it falls from one to the other")


class ValueLearner(OffPolicyLearner):
    """See ``Learner``. What differs from algorithm to algorithm is how the agents' values are mixed.

    Attributes:
        networks: the Q networks, and after them those that ``mix`` is given.
    """

    Config: ClassVar[type[LearnerConfig]] = ValueConfig
    config: ValueConfig
    team: ClassVar[bool] = True
    """Whether one value is learned for all agents, of the sum of their rewards, or one for each."""
    reads_state: ClassVar[bool] = False
    """Whether mixing depends on the global state."""

    def __init__(self, config: ValueConfig, game: Game, seed: int) -> None:
        super().__init__(config, game, seed)
        self._real = torch.from_numpy(game.real.astype(np.float32))[:, None]
        self.networks = [self._values(), *self.mixing_networks(self._draws)]
        self._targets = [networks.copy() for networks in self.networks]
        self._adam = Adam([p for networks in self.networks for p in networks.parameters])

    def _remember(self, game: Game, capacity: int) -> Memory:
        return Memory(game, capacity, state=self.reads_state, masks=True)

    def _values(self) -> Networks:
        config, game = self.config, self.game
        members = members_of(game, config.share)
        widths = (game.observation_width, *config.hidden, game.action_width)
        return Networks(len(set(members)), widths, config.activation, self._draws, 1.0, members)

    def mixing_networks(self, generator: torch.Generator) -> list[Networks]:
        """The networks that ``mix`` is given, with weights drawn from ``generator``."""
        return []

    def mix(self, q: Tensor, state: Tensor, networks: Sequence[Networks]) -> Tensor:
        """What is learned, of what agents value their own choices at.

        Args:
            q: (N, B), 0 for agents that take no part.
            state: (B, S).
            networks: as ``mixing_networks`` made them.

        Returns:
            (1, B) for a team, else (N, B).
        """
        raise NotImplementedError

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why it cannot learn a game, or None."""
        for agent, leaf, choices in zip(game.agents, game.action, game.choices, strict=True):
            if len(choices) != 1:
                kind = f"{len(choices)} choices at once" if choices else f"a Box of shape {list(leaf.shape)}"
                return f"expected one choice per agent, got {kind} for {agent}"
        return None

    def exploration(self) -> Explore:
        """Epsilon-greedy."""
        return Explore(epsilon=self._epsilon())

    def _epsilon(self) -> float:
        config = self.config
        return self._scheduled(config.epsilon_initial, config.epsilon_final, config.epsilon_steps)

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        config, acted = self.config, batch.acted.T
        q = chosen_value(self.networks[0](batch.observations.transpose(0, 1)), batch.actions.transpose(0, 1))
        values = self.mix(acted * q, batch.state, self.networks[1:])
        weights = acted.amax(dim=0, keepdim=True) if self.team else acted
        loss = td_loss(values, self._target(batch), weights, config.huber).sum()
        self._adam.step(loss, self.config.pace(self.experience) * config.rate)
        for target, networks in zip(self._targets, self.networks, strict=True):
            target.follow(networks, config.averaging)
        return {"value": loss.detach()}

    @torch.no_grad()
    def _target(self, batch: Batch) -> Tensor:
        """Targets (1, B) of a team, else (N, B)."""
        seen, legal = batch.next_observations.transpose(0, 1), batch.next_legal.transpose(0, 1)
        q_next = double_q_value(masked(self.networks[0](seen), legal * self._real), self._targets[0](seen))
        rewards, on = self.config.reward_scale * batch.rewards.T, (batch.acted * batch.continues).T
        value_next = self.mix(on * q_next, batch.next_state, self._targets[1:])
        if self.team:
            rewards, on = rewards.sum(dim=0, keepdim=True), on.amax(dim=0, keepdim=True)
        return target_value(rewards, self.config.discount, on, value_next)

    def act(self, observations: Floats, draws: np.random.Generator | None) -> tuple[Floats, Floats]:
        """See ``Learner``."""
        with torch.no_grad():
            q = masked(self.networks[0](torch.from_numpy(observations).transpose(0, 1)), self._real)
        best = q.argmax(dim=-1).T.numpy()
        picked = best if draws is None else self._explored(best, draws)
        actions = np.zeros((*best.shape, self.game.action_width), np.float32)
        np.put_along_axis(actions, picked[..., None], np.float32(1.0), axis=-1)
        epsilon = 0.0 if draws is None else self._epsilon()
        odds = (1.0 - epsilon) * (picked == best) + epsilon / np.array(self.game.action_widths)
        return actions, np.log(odds).astype(np.float32)

    def _explored(self, best: NDArray[np.int64], draws: np.random.Generator) -> NDArray[np.int64]:
        """Choices (B, N), some of them drawn uniformly."""
        uniform = draws.integers(0, self.game.action_widths, best.shape)
        return np.where(draws.random(best.shape) < self._epsilon(), uniform, best)

    def actors(self) -> list[Actor]:
        """Each agent's Q network, whose values are taken for logits: the greedy choice is the same."""
        return actors_of(self.game, self.networks[0], self.config.activation)

    def _parts(self) -> dict[str, Networks | Adam]:
        parts: dict[str, Networks | Adam] = {"adam": self._adam}
        for number, (networks, target) in enumerate(zip(self.networks, self._targets, strict=True)):
            parts |= {f"networks_{number}": networks, f"target_{number}": target}
        return parts
