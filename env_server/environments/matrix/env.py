"""A normal-form game as an environment: one step is one round, in which all agents choose at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.errors import IllegalAction
from env_server.environments.base import Array, EnvironmentConfig, Step, Values, check_reset
from env_server.environments.matrix.config import MatrixConfig

Floats = NDArray[np.float64]


class Matrix:
    """B copies of a normal-form game between N agents.

    Everyone sees a 1, so that there is something to see before the first round, and behind it the last round's choices,
    one-hot, agent after agent; the global state is the same. Rewards are the table's payoffs. All agents are awaited in
    every round; the episode ends by the rules after ``rounds``. ``Step.info`` has ``played``, float32 (B, N, most
    choices), the last round's choices one-hot.
    """

    Config: ClassVar[type[EnvironmentConfig]] = MatrixConfig

    def __init__(self, config: MatrixConfig, num_envs: int) -> None:
        """Prepare the table.

        Raises:
            ValueError: num_envs is not positive.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs: expected >= 1, got {num_envs}")
        self.config, self.num_envs = config, num_envs
        table = config.table()
        self.choices = table.shape[1:]
        self._paid = np.ascontiguousarray(table.reshape(len(table), -1).T)
        self.agents = tuple(f"player_{i}" for i in range(len(table)))
        self._spaces()
        self.facts: Mapping[str, Any] = {"game": config.game, "panels": [_panel(config.labels(), len(table))]}
        self._round = config.rounds

    def _spaces(self) -> None:
        """Build the spaces; all agents see the same."""
        seen = spaces.Box(0.0, 1.0, (1 + sum(self.choices),), np.float32)
        self.observation_spaces: Mapping[str, spaces.Space[Any]] = dict.fromkeys(self.agents, seen)
        self.action_spaces: Mapping[str, spaces.Space[Any]] = {
            agent: spaces.Discrete(count) for agent, count in zip(self.agents, self.choices, strict=True)
        }
        self.state_space: spaces.Space[Any] = seen

    def reset(self, seed: int, copies: NDArray[np.uint32]) -> Step:
        """Start new episodes, in which nobody has played yet (see ``Environment.reset``).

        Raises:
            ValueError: seed or copies are not as the protocol says.
        """
        check_reset(seed, copies, self.num_envs)
        self._round = 0
        played = np.zeros((self.num_envs, len(self.agents), max(self.choices)), np.float32)
        return self._show(played, np.zeros((self.num_envs, len(self.agents))))

    def step(self, actions: Sequence[Values]) -> Step:
        """Play one round (see ``Environment.step``).

        Raises:
            IllegalAction: an action is malformed or no choice of its agent.
            RuntimeError: the episodes are over, or never began.
        """
        if self._round >= self.config.rounds:
            raise RuntimeError(f"step: expected a reset after {self.config.rounds} rounds, got another step")
        joint = self._validated(actions)
        self._round += 1
        played = (joint[:, :, None] == np.arange(max(self.choices))).astype(np.float32)
        return self._show(played, self._pay(joint))

    def payoff(self, actions: Floats, gradient: bool) -> tuple[Floats, Array | None]:
        """Payoffs of joint actions float64 (M, N, 1); choices have no gradients (see ``PayoffEnvironment``)."""
        shape = (len(self.agents), 1)
        if actions.ndim != 3 or actions.shape[1:] != shape or actions.dtype != np.float64:
            raise IllegalAction("actions", f"float64 (M, {shape[0]}, 1)", f"{actions.dtype} {actions.shape}")
        joint = actions[:, :, 0]
        self._check_choices(joint)
        return self._pay(joint.astype(np.int64)), None

    def _pay(self, joint: NDArray[np.int64]) -> Floats:
        """Payoffs (M, N) of joint choices (M, N)."""
        paid: Floats = self._paid[np.ravel_multi_index(tuple(joint.T), self.choices)]
        return paid

    def _validated(self, actions: Sequence[Values]) -> NDArray[np.int64]:
        """All choices, int64 (B, N), or an IllegalAction that names what is wrong."""
        if len(actions) != len(self.agents):
            raise IllegalAction("actions", f"one for each of {len(self.agents)} agents", str(len(actions)))
        for agent, leaves in zip(self.agents, actions, strict=True):
            if leaves.keys() != {""}:
                raise IllegalAction(f"{agent}: action", "the one leaf ''", str(sorted(leaves)))
            value = leaves[""]
            if value.shape != (self.num_envs,) or value.dtype != np.int64:
                expected = f"int64 ({self.num_envs},)"
                raise IllegalAction(f"{agent}: action", expected, f"{value.dtype} {value.shape}")
        joint: NDArray[np.int64] = np.stack([leaves[""] for leaves in actions], axis=1)
        self._check_choices(joint)
        return joint

    def _check_choices(self, joint: NDArray[Any]) -> None:
        """Refuse joint actions (M, N) with an entry that is no choice."""
        wrong = np.argwhere(~((joint >= 0) & (joint < self.choices) & (joint == np.floor(joint))))
        if len(wrong):
            row, agent = wrong[0]
            expected = f"a whole number from 0 to {self.choices[agent] - 1}"
            raise IllegalAction(f"{self.agents[agent]}: action of copy {row}", expected, str(joint[row, agent]))

    def _show(self, played: NDArray[np.float32], rewards: Floats) -> Step:
        """What all copies show after choices (B, N, most choices)."""
        last = [played[:, i, :count] for i, count in enumerate(self.choices)]
        seen = np.concatenate([np.ones((self.num_envs, 1), np.float32), *last], axis=1)
        over = np.full(rewards.shape, self._round >= self.config.rounds)
        return Step(
            observations=[{"": seen} for _ in self.agents],
            state={"": seen},
            rewards=rewards,
            terminated=over,
            truncated=np.zeros_like(over),
            awaited=~over,
            info={"played": played},
        )


def _panel(labels: Sequence[str], agents: int) -> dict[str, Any]:
    title = "How often each choice is played"
    return {"title": title, "info": "played", "unit": "share", "labels": [*labels], "reference": [None] * agents}
