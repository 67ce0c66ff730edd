"""What happened in one block of episodes, as arrays, recorded step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from env_server.environments.base import Array, EpisodeFailure, Step, Values
from env_server.rollout.decisions import Answer
from env_server.rollout.moments import Moments, joined

NOT_AWAITED, ACTED, SUBSTITUTED = 0, 1, 2


@dataclass
class AgentTrajectory:
    """One agent's part. T steps, B copies.

    Attributes:
        observation: leaves (T + 1, B, ...).
        action_mask: leaves (T, B, ...); empty where all actions are legal.
        action: leaves (T, B, ...), as executed.
        log_prob: float32 (T, B).
        reward: float64 (T, B).
        terminated, truncated: bool (T, B).
        acted: uint8 (T, B): NOT_AWAITED, ACTED or SUBSTITUTED.
        policy_id: which policy acted.
        version: uint64 (T, B, 2).
    """

    observation: dict[str, Moments]
    action_mask: dict[str, Moments]
    action: dict[str, Moments]
    log_prob: Array
    reward: Array
    terminated: Array
    truncated: Array
    acted: Array
    policy_id: str
    version: Array


@dataclass
class Trajectory:
    """One block: global state leaves (T + 1, B, ...), info leaves (T, B, ...), every agent's part, and what failed."""

    block: int
    copies: NDArray[np.uint32]
    state: dict[str, Moments]
    info: dict[str, Moments]
    agents: list[AgentTrajectory]
    failures: Sequence[EpisodeFailure] = ()

    @property
    def steps(self) -> int:
        """T."""
        return len(self.agents[0].reward)

    @property
    def nbytes(self) -> int:
        """Size of everything that a learner gets."""
        agents = (value for agent in self.agents for value in vars(agent).values())
        return sum(_nbytes(value) for value in (self.state, *agents))

    def part(self, first: int, end: int) -> Trajectory:
        """Steps ``first`` to ``end`` - 1, without copying."""
        agents = [
            AgentTrajectory(**{name: _cut(value, first, end, name) for name, value in vars(agent).items()})
            for agent in self.agents
        ]
        state, info = _cut(self.state, first, end, "state"), _cut(self.info, first, end, "info")
        return Trajectory(self.block, self.copies, state, info, agents, self.failures)


def _nbytes(value: Any) -> int:
    return sum(map(_nbytes, value.values())) if isinstance(value, dict) else getattr(value, "nbytes", 0)


def _cut(value: Any, first: int, end: int, name: str) -> Any:
    """Steps of a leaf or of named leaves; what is seen has one moment more than steps."""
    if isinstance(value, dict):
        return {path: _cut(leaf, first, end, name) for path, leaf in value.items()}
    if isinstance(value, str):
        return value
    if isinstance(value, Moments):
        return value.cut(first, end + 1 if name in ("state", "observation") else end)
    return value[first:end]


@dataclass(slots=True)
class AgentDecisions:
    """One agent's part of one step, over all B copies, as executed."""

    action: Values
    log_prob: NDArray[np.float32]
    acted: NDArray[np.uint8]
    version: NDArray[np.uint64]
    policy_id: str = ""

    @classmethod
    def of(cls, answer: Answer, rows: NDArray[np.intp], copies: int) -> AgentDecisions:
        """Put a service's n answers into their rows; where everyone was awaited nothing is copied."""
        if len(rows) == copies:
            acted, versions = _everyone(copies), _versions(copies, answer.version)
            return cls(answer.action, answer.log_prob, acted, versions, answer.policy_id)
        acted, log_prob = np.zeros(copies, np.uint8), np.zeros(copies, np.float32)
        versions = np.zeros((copies, 2), np.uint64)
        acted[rows], log_prob[rows], versions[rows] = ACTED, answer.log_prob, answer.version
        action = {path: _scatter(values, rows, copies) for path, values in answer.action.items()}
        return cls(action, log_prob, acted, versions, answer.policy_id)

    @classmethod
    def substituted(cls, action: Mapping[str, Array], rows: NDArray[np.intp], copies: int) -> AgentDecisions:
        """The fallback's actions for the rows that were awaited; ``action`` is over all copies."""
        acted = np.zeros(copies, np.uint8)
        acted[rows] = SUBSTITUTED
        return cls(dict(action), np.zeros(copies, np.float32), acted, np.zeros((copies, 2), np.uint64))


# What a step in which all copies were answered records is the same from step to step.
@lru_cache(64)
def _everyone(copies: int) -> NDArray[np.uint8]:
    acted = np.full(copies, ACTED, np.uint8)
    acted.flags.writeable = False
    return acted


@lru_cache(64)
def _versions(copies: int, version: tuple[int, int]) -> NDArray[np.uint64]:
    return np.broadcast_to(np.array([version], np.uint64), (copies, 2))


def _scatter(values: Array, rows: NDArray[np.intp], copies: int) -> Array:
    full = np.zeros((copies, *values.shape[1:]), values.dtype)
    full[rows] = values
    return full


@dataclass
class Recorder:
    """Collects a block's steps; with ``outcomes_only`` without what was seen in them, whose memory is free again."""

    block: int
    copies: NDArray[np.uint32]
    outcomes_only: bool = False
    before: list[Step] = field(default_factory=list)
    decisions: list[list[AgentDecisions]] = field(default_factory=list)
    failures: list[EpisodeFailure] = field(default_factory=list)

    def see(self, step: Step) -> None:
        """Add what all copies show."""
        self.failures += step.failures
        if self.outcomes_only:
            nothing = [dict[str, Array]()] * len(step.observations)
            step = Step(nothing, {}, step.rewards, step.terminated, step.truncated, step.awaited)
        self.before.append(step)

    def finish(self) -> Trajectory:
        """Everything recorded, along a leading axis of time."""
        after = self.before[1:]
        rewards, terminated, truncated = (
            _by_agent([getattr(step, name) for step in after]) for name in ("rewards", "terminated", "truncated")
        )
        agents = [self._agent(i, rewards[i], terminated[i], truncated[i]) for i in range(len(self.decisions[0]))]
        state = _moments([step.state for step in self.before])
        info = _moments([step.info for step in after])
        return Trajectory(self.block, self.copies, state, info, agents, self.failures)

    def _agent(self, i: int, reward: Array, terminated: Array, truncated: Array) -> AgentTrajectory:
        mine = [decisions[i] for decisions in self.decisions]
        return AgentTrajectory(
            observation=_moments([step.observations[i] for step in self.before]),
            action_mask=_moments([step.action_masks.get(i, {}) for step in self.before[:-1]]),
            action=_moments([d.action for d in mine]),
            log_prob=joined([d.log_prob for d in mine]),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            acted=joined([d.acted for d in mine]),
            policy_id=next((d.policy_id for d in mine if d.policy_id), ""),
            version=joined([d.version for d in mine]),
        )


def _by_agent(arrays: Sequence[Array]) -> Array:
    """Arrays (B, N) of every step, as (N, T, B)."""
    return np.ascontiguousarray(np.moveaxis(joined(arrays), 2, 0))


def _moments(steps: Sequence[Values]) -> dict[str, Moments]:
    return {path: Moments([leaves[path] for leaves in steps]) for path in steps[0]} if steps else {}
