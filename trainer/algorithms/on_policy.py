"""What MAPPO and IPPO share: stochastic actors, and critics of states, learned from what the newest policies did.

Yu et al. 2021, "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", arXiv:2103.01955.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.actor import Actor
from trainer.algorithms import distributions
from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.losses.ppo import mean_over, normalised, policy_loss, value_loss
from trainer.algorithms.losses.returns import generalised_advantages
from trainer.algorithms.policies import actors_of
from trainer.algorithms.ppo_config import PpoConfig
from trainer.algorithms.sharing import members_of
from trainer.algorithms.trajectories import Trajectories
from trainer.algorithms.value_norm import ValueNorm
from trainer.exploration import Explore
from trainer.networks import Networks
from trainer.optimiser import Adam

Rows = dict[str, Tensor]


class OnPolicyLearner:
    """See ``Learner``. Subclasses say what the critics see.

    Attributes:
        experience: steps learned from.
    """

    Config: ClassVar[type[LearnerConfig]] = PpoConfig
    on_policy: ClassVar[bool] = True

    def __init__(self, config: PpoConfig, game: Game, seed: int) -> None:
        """Draw the networks.

        Raises:
            ValueError: agents shall share networks, but no two have equal spaces.
        """
        self.config, self.game = config, game
        self.updates = self.stale = self.experience = 0
        self._draws = torch.Generator().manual_seed(seed)
        members = members_of(game, config.share)
        self._weights = 1.0 / torch.tensor([float(members.count(member)) for member in members])
        widths = (game.observation_width, *config.actor_hidden, game.action_width)
        self._actor = Networks(len(set(members)), widths, config.activation, self._draws, 0.01, members)
        self._critic = self._critics(members)
        self._actions = distributions.distribution(game, members, config.initial_std)
        learned = self._actor.parameters + self._actions.parameters
        self._actor_adam = Adam(learned, config.max_norm)
        self._critic_adam = Adam(self._critic.parameters, config.max_norm)
        self._norm = ValueNorm(game.size, config.return_memory)
        self._pending: list[Rows] = []

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why it cannot learn a game, or None."""
        return distributions.misfit(game)

    def _critics(self, members: list[int]) -> Networks:
        """Fresh critics of ``_views``: one per agent, or a single one with a value for each agent."""
        raise NotImplementedError

    def _views(self, seen: Tensor, state: Tensor) -> Tensor:
        """What critics see, (M, K, V), of observations (N, K, O) and states (1, K, S)."""
        raise NotImplementedError

    def _values(self, views: Tensor) -> Tensor:
        """Normalised values (N, K) of views (M, K, V)."""
        values = self._critic(views)
        return values[0].T if len(values) == 1 else values[..., 0]

    def exploration(self) -> Explore:
        """Nothing beside the policies' own spread."""
        return Explore()

    @torch.no_grad()
    def act(self, observations: Floats, draws: np.random.Generator | None) -> tuple[Floats, Floats]:
        """See ``Learner``; log-probabilities of greedy actions are zeros."""
        outputs = self._actor(torch.from_numpy(observations).transpose(0, 1))
        if draws is None:
            actions, log_probs = self._actions.greedy(outputs), torch.zeros(outputs.shape[:2])
        else:
            actions = self._actions.sample(outputs, draws)
            log_probs, _ = self._actions.log_prob(outputs, actions, None)
        return np.ascontiguousarray(actions.transpose(0, 1).numpy()), np.ascontiguousarray(log_probs.T.numpy())

    def add(self, experience: Trajectories) -> None:
        """Take in what happened, unless older policies acted."""
        experience.check(self.game)
        if experience.version[1] < self.updates:
            self.stale += experience.steps
            return
        self._pending.append(self._rows(experience))

    @torch.no_grad()
    def _rows(self, experience: Trajectories) -> Rows:
        """Decisions (N, R, ...), with what the policies and critics of now say of them."""
        count = experience.steps
        seen, state = _by_agent(experience.observations), _by_agent(experience.state[:, :, None])
        views = self._views(seen, state)
        values = self._values(views)
        rows = {
            "seen": seen[:, :count],
            "views": views[:, :count],
            "actions": _by_agent(experience.actions),
            "values": values[:, :count],
            "acted": _by_agent(experience.acted),
        }
        rows["advantages"], rows["targets"] = self._estimates(experience, values)
        if experience.legal is not None:
            rows["legal"] = _by_agent(experience.legal)
        outputs = self._actor(rows["seen"])
        rows["old"], _ = self._actions.log_prob(outputs, rows["actions"], rows.get("legal"))
        return rows

    def _estimates(self, experience: Trajectories, values: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and targets of values, (N, R), in the rewards' units."""
        t, b, n = experience.rewards.shape
        advantages, targets = generalised_advantages(
            torch.from_numpy(experience.rewards),
            self._norm.denormalise(values).T.reshape(t + 1, b, n),
            torch.from_numpy(experience.terminated),
            torch.from_numpy(experience.truncated),
            torch.from_numpy(experience.acted),
            self.config.discount,
            self.config.gae_lambda,
        )
        return advantages.reshape(-1, n).T, targets.reshape(-1, n).T

    def update(self) -> dict[str, float]:
        """Learn from all that was added, and forget it."""
        if not self._pending:
            return {}
        rows = self._taken()
        count, pace = rows["acted"].shape[1], self.config.pace(self.experience)
        losses = []
        for _ in range(self.config.epochs):
            for chosen in torch.randperm(count, generator=self._draws).chunk(self.config.minibatches):
                batch = {name: values.index_select(1, chosen) for name, values in rows.items()}
                losses.append(self._learn(batch, pace))
        self.updates += len(losses)
        self.experience += count
        actor, critic, entropy = torch.stack(losses).mean(dim=0).tolist()
        return {"actor": actor, "critic": critic, "entropy": entropy}

    def _taken(self) -> Rows:
        """What is pending, with advantages and targets normalised; nothing is pending then."""
        rows = {name: torch.cat([part[name] for part in self._pending], dim=1) for name in self._pending[0]}
        self._pending = []
        self._norm.update(rows["targets"], rows["acted"])
        rows["targets"] = self._norm.normalise(rows["targets"])
        rows["advantages"] = normalised(rows["advantages"], rows["acted"])
        return rows

    def _learn(self, rows: Rows, pace: float) -> Tensor:
        """One gradient step of actors and critics; returns their losses and the entropy, (3,)."""
        config, mask = self.config, rows["acted"]
        outputs = self._actor(rows["seen"])
        log_prob, entropies = self._actions.log_prob(outputs, rows["actions"], rows.get("legal"))
        entropy = mean_over(entropies, mask)
        actor = policy_loss(log_prob, rows["old"], rows["advantages"], mask, config.clip)
        self._actor_adam.step((self._weights * (actor - config.entropy * entropy)).sum(), pace * config.actor_rate)
        values = self._values(rows["views"])
        critic = value_loss(values, rows["values"], rows["targets"], mask, config.value_clip, config.huber)
        self._critic_adam.step((self._weights * critic).sum(), pace * config.critic_rate)
        return torch.stack([actor.mean(), critic.mean(), entropy.mean()]).detach()

    def actors(self) -> list[Actor]:
        """Each agent's policy."""
        spread = [self._actions.log_std(agent) for agent in range(self.game.size)]
        return actors_of(self.game, self._actor, self.config.activation, spread)

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        return {
            "counts": {"updates": self.updates, "stale": self.stale, "experience": self.experience},
            **{name: part.state_dict() for name, part in self._parts().items()},
            "spread": {str(number): value.detach().clone() for number, value in enumerate(self._actions.parameters)},
            "pending": {str(number): dict(rows) for number, rows in enumerate(self._pending)},
            "draws": self._draws.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        for name, part in self._parts().items():
            part.load_state_dict(state.get(name, {}))
        for number, value in enumerate(self._actions.parameters):
            value.detach().copy_(state["spread"][str(number)])
        pending = state.get("pending", {})
        self._pending = [dict(pending[str(number)]) for number in range(len(pending))]
        self._draws.set_state(state["draws"])
        counts = state["counts"]
        self.updates, self.stale, self.experience = (counts[name] for name in ("updates", "stale", "experience"))

    def _parts(self) -> dict[str, Networks | Adam | ValueNorm]:
        return {
            "actor": self._actor,
            "critic": self._critic,
            "actor_adam": self._actor_adam,
            "critic_adam": self._critic_adam,
            "norm": self._norm,
        }


def _by_agent(values: NDArray[Any]) -> Tensor:
    """Steps (T, B, N, ...) as float32 rows (N, T B, ...)."""
    return torch.from_numpy(values).flatten(0, 1).transpose(0, 1).float().contiguous()
