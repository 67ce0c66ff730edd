"""What MADDPG, MATD3 and IDDPG share: deterministic actors, and critics of a state and actions, learned off-policy.

Lowe et al. 2017, arXiv:1706.02275; Fujimoto et al. 2018, "Addressing Function Approximation Error in Actor-Critic
Methods", arXiv:1802.09477.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from trainer.actor import Actor, cut
from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.critics import JointCritics, OwnCritics
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.heads import Heads
from trainer.algorithms.losses.deterministic import critic_loss, logit_excess, policy_loss, target_value
from trainer.algorithms.memory import Batch, Memory
from trainer.algorithms.sharing import members_of
from trainer.algorithms.trajectories import Trajectories
from trainer.exploration import Explore
from trainer.networks import Activation, Networks
from trainer.optimiser import Adam


class DeterministicConfig(LearnerConfig):
    """Settings of the deterministic learners. Steps are environment steps of one copy."""

    actor_hidden: tuple[int, ...] = Field((64, 64), description="widths of the actors' hidden layers")
    critic_hidden: tuple[int, ...] = Field((128, 128), description="widths of the critics' hidden layers")
    activation: Activation = Field("relu", description="of hidden layers")
    share: bool = Field(False, description="agents with equal spaces share an actor and critics")
    state: bool = Field(False, description="critics see the global state beside all observations")
    discount: float = Field(0.95, ge=0, lt=1, description="γ")
    actor_rate: float = Field(1e-2, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(1e-2, gt=0, description="Adam's step size for critics")
    rate_steps: int | None = Field(None, ge=1, description="steps in which step sizes fall to rate_floor; None: never")
    rate_floor: float = Field(0.05, gt=0, le=1, description="share of the step sizes that remains")
    averaging: float = Field(0.01, gt=0, le=1, description="τ, by which target networks follow per update")
    batch_size: int = Field(1024, ge=1, description="joint transitions per update")
    capacity: int = Field(500_000, ge=1, description="joint transitions that the replay keeps")
    steps_per_update: float = Field(100.0, gt=0, description="steps between two updates")
    warmup: int = Field(2000, ge=1, description="steps before anything is learned")
    noise_initial: float = Field(0.5, ge=0, description="exploration at first, a share of the action's bounds")
    noise_final: float = Field(0.3, ge=0, description="exploration in the end")
    noise_steps: int = Field(500_000, ge=1, description="steps in which exploration falls from one to the other")
    logit_limit: float = Field(4.0, gt=0, description="logits beyond it are penalised")
    logit_penalty: float = Field(1e-2, ge=0, description="weight of the squared excess of logits")
    reward_scale: float = Field(1.0, gt=0, description="factor of rewards in targets")
    relaxation: float = Field(1.0, gt=0, description="temperature of the Gumbel-softmax, for choices")
    max_staleness: int | None = Field(
        None, ge=0, description="updates that the acting policy may be behind; older experience is dropped"
    )


class DeterministicLearner:
    """See ``Learner``. What differs from algorithm to algorithm is what critics see and how many there are.

    Attributes:
        experience: steps learned from.
    """

    Config: ClassVar[type[LearnerConfig]] = DeterministicConfig
    on_policy: ClassVar[bool] = False
    critics: ClassVar[type[JointCritics | OwnCritics]] = JointCritics
    """What critics see."""
    twins: ClassVar[int] = 1
    """Critics per agent; the least of their target values counts."""
    delay: ClassVar[int] = 1
    """Critic updates per actor update."""

    def __init__(self, config: DeterministicConfig, game: Game, seed: int) -> None:
        self.config, self.game = config, game
        self.updates = self.stale = self.experience = 0
        self._owed = 0.0
        self._draws = torch.Generator().manual_seed(seed)
        self._heads = Heads(game, config.relaxation)
        self._build()
        self._actor_adam = Adam(self._actor.parameters, config.actor_rate)
        judging = [parameter for critic in self._critics for parameter in critic.networks.parameters]
        self._critic_adam = Adam(judging, config.critic_rate)
        self._memory = Memory(game, config.capacity, state=config.state, masks=game.discrete)

    def _build(self) -> None:
        config, game = self.config, self.game
        members = members_of(game, config.share)
        widths = (game.observation_width, *config.actor_hidden, game.action_width)
        self._actor = Networks(len(set(members)), widths, config.activation, self._draws, 0.1, members)
        self._critics = [
            self.critics(game, members, config.critic_hidden, config.activation, config.state, self._draws)
            for _ in range(self.twins)
        ]
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
        done = min(1.0, self.experience / config.noise_steps)
        return config.noise_initial + done * (config.noise_final - config.noise_initial)

    def add(self, experience: Trajectories) -> None:
        """Take in what happened, unless too old policies acted."""
        limit = self.config.max_staleness
        if limit is not None and self.updates - experience.version[1] > limit:
            self.stale += experience.steps
            return
        self._memory.add(experience)
        self.experience += experience.steps
        if self.experience >= self.config.warmup:
            self._owed += experience.steps / self.config.steps_per_update

    def update(self) -> dict[str, float]:
        """Take the gradient steps that are owed."""
        count = int(self._owed)
        self._owed -= count
        if not count:
            return {}
        losses = torch.zeros(2)
        for _ in range(count):
            batch = self._memory.draw(self.config.batch_size, self._draws)
            losses[0] += self._learn_critics(batch)
            self.updates += 1
            if self.updates % self.delay == 0:
                losses[1] += self._learn_actors(batch)
                self._follow()
        critic, actor = (losses / torch.tensor([count, max(1, count // self.delay)])).tolist()
        return {"critic": critic, "actor": actor}

    def _follow(self) -> None:
        rate = self.config.averaging
        self._target_actor.follow(self._actor, rate)
        for target, critic in zip(self._targets, self._critics, strict=True):
            target.follow(critic.networks, rate)

    def _pace(self) -> float:
        """Share of the step sizes that remains by now."""
        config = self.config
        if config.rate_steps is None:
            return 1.0
        return max(config.rate_floor, 1.0 - self.experience / config.rate_steps)

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
        self._critic_adam.step(loss, self._pace() * config.critic_rate)
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
        self._actor_adam.step((losses + excess).sum(), self._pace() * config.actor_rate)
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
        """Each agent's policy; padding is cut off."""
        game = self.game
        return [
            Actor(
                observation=game.observation[i],
                action=game.action[i],
                layers=cut(self._actor.member(i), game.observation_widths[i], game.action_widths[i]),
                activation=self.config.activation,
                bounded=not game.discrete,
            )
            for i in range(game.size)
        ]

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        counts = {"updates": self.updates, "stale": self.stale, "experience": self.experience, "owed": self._owed}
        networks = {name: part.state_dict() for name, part in self._parts().items()}
        return {"counts": counts, **networks, "memory": self._memory.state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        for name, part in self._parts().items():
            part.load_state_dict(state.get(name, {}))
        self._memory.load_state_dict(state["memory"])
        self._draws.set_state(state["draws"])
        counts = state["counts"]
        self.updates, self.stale = int(counts["updates"]), int(counts["stale"])
        self.experience, self._owed = int(counts["experience"]), float(counts["owed"])

    def _parts(self) -> dict[str, Networks | Adam]:
        parts: dict[str, Networks | Adam] = {"actor": self._actor, "target_actor": self._target_actor}
        for number, (critic, target) in enumerate(zip(self._critics, self._targets, strict=True)):
            parts |= {f"critic_{number}": critic.networks, f"target_critic_{number}": target}
        return parts | {"actor_adam": self._actor_adam, "critic_adam": self._critic_adam}
