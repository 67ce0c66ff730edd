"""What MADDPG, MATD3 and IDDPG share: deterministic actors, and critics of a state and actions, learned off-policy.

Lowe et al. 2017, arXiv:1706.02275; Fujimoto et al. 2018, "Addressing Function Approximation Error in Actor-Critic
Methods", arXiv:1802.09477.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from trainer.actor import Actor
from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.critics import Critics, JointCritics
from trainer.algorithms.deterministic_config import DeterministicConfig
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.heads import Heads
from trainer.algorithms.losses.deterministic import critic_loss, logit_excess, policy_loss, target_value
from trainer.algorithms.memory import Batch, Memory
from trainer.algorithms.off_policy import OffPolicyLearner
from trainer.algorithms.policies import actors_of
from trainer.algorithms.sharing import members_of
from trainer.exploration import Explore
from trainer.networks import Networks
from trainer.optimiser import Adam


class DeterministicLearner(OffPolicyLearner):
    """See ``Learner``. What differs from algorithm to algorithm is what critics see and how many there are."""

    Config: ClassVar[type[LearnerConfig]] = DeterministicConfig
    config: DeterministicConfig
    critics: ClassVar[type[Critics]] = JointCritics
    """What critics see."""
    twins: ClassVar[int] = 1
    """Critics per agent; the least of their target values counts."""
    delay: ClassVar[int] = 1
    """Critic updates per actor update."""

    def __init__(self, config: DeterministicConfig, game: Game, seed: int) -> None:
        super().__init__(config, game, seed)
        self._heads = Heads(game, config.relaxation)
        self._build()
        self._actor_adam = Adam(self._actor.parameters)
        judging = [parameter for critic in self._critics for parameter in critic.networks.parameters]
        self._critic_adam = Adam(judging)

    def _remember(self, game: Game, capacity: int) -> Memory:
        return Memory(game, capacity, state=self.config.state, masks=game.discrete)

    def _build(self) -> None:
        config, game = self.config, self.game
        members = members_of(game, config.share)
        widths = (game.observation_width, *config.actor_hidden, game.action_width)
        self._actor = Networks(len(set(members)), widths, config.activation, self._draws, 0.1, members)
        self._critics = [self.critics(game, members, config, self._draws) for _ in range(self.twins)]
        self._target_actor = self._actor.copy()
        self._targets = [critic.networks.copy() for critic in self._critics]

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why it cannot learn a game, or None."""
        return Heads.misfit(game)

    def exploration(self) -> Explore:
        """Noise that falls with experience; choices are drawn from the softmax."""
        return Explore(noise_scale=0.0 if self.game.discrete else self._noise())

    def _noise(self) -> float:
        config = self.config
        return self._scheduled(config.noise_initial, config.noise_final, config.noise_steps)

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        losses = {"critic": self._learn_critics(batch)}
        if self.updates % self.delay == 0:
            losses["actor"] = self._learn_actors(batch)
            self._follow()
        return losses

    def _follow(self) -> None:
        rate = self.config.averaging
        self._target_actor.follow(self._actor, rate)
        for target, critic in zip(self._targets, self._critics, strict=True):
            target.follow(critic.networks, rate)

    def _learn_critics(self, batch: Batch) -> Tensor:
        config, acted = self.config, batch.acted.T
        with torch.no_grad():
            actions = self._next_actions(batch)
            pairs = zip(self._critics, self._targets, strict=True)
            then = batch.next_observations, actions, batch.next_state
            q_next = torch.stack([critic.values(target, *then) for critic, target in pairs]).amin(dim=0)
            y = target_value(config.reward_scale * batch.rewards.T, config.discount, batch.continues.T, q_next)
        now = batch.observations, batch.actions, batch.state
        q = [critic.values(critic.networks, *now) for critic in self._critics]
        loss = torch.stack([critic_loss(acted * twin, acted * y).sum() for twin in q]).sum()
        self._critic_adam.step(loss, self.config.pace(self.experience) * config.critic_rate)
        return loss.detach()

    def _next_actions(self, batch: Batch) -> Tensor:
        """What target actors do after the transitions, (B, N, A)."""
        outputs = self._target_actor(batch.next_observations.transpose(0, 1))
        return self._heads.greedy(outputs, batch.next_legal.transpose(0, 1)).transpose(0, 1)

    def _learn_actors(self, batch: Batch) -> Tensor:
        config = self.config
        outputs = self._actor(batch.observations.transpose(0, 1))
        own = self._heads.relaxed(outputs, batch.legal.transpose(0, 1), self._draws)
        critic = self._critics[0]
        critic.networks.differentiable(False)
        q = critic.values_of_own(own, batch.observations, batch.actions, batch.state)
        losses = policy_loss(q * batch.acted.T)
        excess = config.logit_penalty * logit_excess(outputs, config.logit_limit)
        self._actor_adam.step((losses + excess).sum(), self.config.pace(self.experience) * config.actor_rate)
        critic.networks.differentiable(True)
        return losses.detach().sum()

    def act(self, observations: Floats, draws: np.random.Generator | None) -> tuple[Floats, Floats]:
        """See ``Learner``; log-probabilities are not needed and are zeros."""
        with torch.no_grad():
            outputs = self._actor(torch.from_numpy(observations).transpose(0, 1))
            if draws is None:
                actions = self._heads.greedy(outputs, outputs[..., :0])
            else:
                actions = self._heads.explored(outputs, self._noise(), draws)
        return np.ascontiguousarray(actions.transpose(0, 1).numpy()), np.zeros(observations.shape[:2], np.float32)

    def actors(self) -> list[Actor]:
        """Each agent's policy."""
        return actors_of(self.game, self._actor, self.config.activation)

    def _parts(self) -> dict[str, Networks | Adam]:
        parts: dict[str, Networks | Adam] = {"actor": self._actor, "target_actor": self._target_actor}
        for number, (critic, target) in enumerate(zip(self._critics, self._targets, strict=True)):
            parts |= {f"critic_{number}": critic.networks, f"target_critic_{number}": target}
        return parts | {"actor_adam": self._actor_adam, "critic_adam": self._critic_adam}
