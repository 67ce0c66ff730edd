"""Trajectory segments as they come over the wire, and the joint transitions that learners take from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import output_width
from agora.codec import from_tensor
from agora.errors import Refused
from agora.failures import Failures, words
from agora.spaces import Leaf, leaves
from agora.v1 import policy_pb2, rollout_pb2 as pb
from trainer.spec import GameSpec

Array = NDArray[Any]
Kinds = tuple[tuple[Leaf, ...], tuple[Leaf, ...]]
"""Leaves of an observation and of an action."""
ACTED = 1


@dataclass(frozen=True)
class AgentSegment:
    """One agent's part of a block. T steps, B copies.

    Attributes:
        observation: leaves (T + 1, B, ...).
        action: leaves (T, B, ...).
        action_mask: leaves of the legal-action mask, uint8 (T, B, ...); empty where all actions are always legal.
        log_prob: float32 (T, B).
        reward: float64 (T, B).
        terminated, truncated: bool (T, B).
        acted: uint8 (T, B), 1 where the agent itself acted; learn from those only.
        policy_id: which policy acted.
        version: uint64 (T, B, 2).
    """

    observation: dict[str, Array]
    action: dict[str, Array]
    action_mask: dict[str, Array]
    log_prob: Array
    reward: Array
    terminated: Array
    truncated: Array
    acted: Array
    policy_id: str
    version: Array


@dataclass(frozen=True)
class Segment:
    """One block, or some of its steps: global state leaves (T + 1, B, ...) and every agent's part.

    Where only outcomes were asked for, there are no leaves.

    Attributes:
        first_step: number of the first step in the episode.
        last: whether the block ends here.
        failures: why episodes of the block failed, in words, in its last segment.
        failed: places of the copies that they were played in.
    """

    block: int
    first_step: int
    last: bool
    state: dict[str, Array]
    agents: tuple[AgentSegment, ...]
    failures: tuple[str, ...] = ()
    failed: frozenset[int] = frozenset()

    @property
    def steps(self) -> int:
        """Joint decisions: steps times copies."""
        return int(self.agents[0].reward.size)

    @classmethod
    def from_proto(cls, message: pb.Segment, spec: GameSpec, outcomes_only: bool = False) -> Segment:
        """Unpack a segment; arrays share the message's bytes.

        Args:
            message: as it came.
            spec: the game.
            outcomes_only: whether it was asked for without leaves.

        Raises:
            Refused: a leaf is missing, or has a wrong dtype or shape.
        """
        shape = (message.steps, message.num_envs)
        if len(message.agents) != len(spec.agents):
            expected = f"{len(spec.agents)} agents"
            raise Refused(policy_pb2.REASON_SHAPE, "segment.agents", expected, str(len(message.agents)))
        kept = () if outcomes_only else leaves(spec.state_space)
        state = _leaves(message.state, kept, (shape[0] + 1, shape[1]), "segment.state")
        agents = tuple(
            _agent(part, _kinds(spec, i, outcomes_only), shape, f"segment.agents[{i}]")
            for i, part in enumerate(message.agents)
        )
        failures = tuple(map(words, message.failures))
        failed = frozenset(failure.copy for failure in message.failures)
        return cls(message.block, message.first_step, message.last, state, agents, failures, failed)


def _kinds(spec: GameSpec, index: int, outcomes_only: bool) -> Kinds:
    return ((), ()) if outcomes_only else (leaves(spec.observation_spaces[index]), leaves(spec.action_spaces[index]))


def _agent(part: pb.AgentTrajectory, kinds: Kinds, shape: tuple[int, int], field: str) -> AgentSegment:
    steps, copies = shape
    seen, done = kinds
    flat = {
        name: _one(getattr(part, name), shape, f"{field}.{name}")
        for name in ("log_prob", "reward", "terminated", "truncated", "acted")
    }
    return AgentSegment(
        observation=_leaves(part.observation, seen, (steps + 1, copies), f"{field}.observation"),
        action=_leaves(part.action, done, shape, f"{field}.action"),
        action_mask=_masks(part.action_mask, done, shape, f"{field}.action_mask") if part.action_mask else {},
        policy_id=part.policy_id,
        version=_one(part.version, (*shape, 2), f"{field}.version"),
        **flat,
    )


def _leaves(tensors: Any, members: tuple[Leaf, ...], lead: tuple[int, int], field: str) -> dict[str, Array]:
    if len(tensors) != len(members):
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(members)} leaves", str(len(tensors)))
    return {
        leaf.path: _one(tensor, (*lead, *leaf.shape), f"{field}[{number}]")
        for number, (leaf, tensor) in enumerate(zip(members, tensors, strict=True))
    }


def _masks(tensors: Any, members: tuple[Leaf, ...], lead: tuple[int, int], field: str) -> dict[str, Array]:
    """One byte for each distribution parameter of a leaf."""
    if len(tensors) != len(members):
        raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(members)} leaves", str(len(tensors)))
    found = {}
    for number, (leaf, tensor) in enumerate(zip(members, tensors, strict=True)):
        mask = from_tensor(tensor, f"{field}[{number}]")
        size = lead[0] * lead[1] * output_width(leaf)
        if mask.shape[:2] != lead or mask.size != size:
            expected = str([*lead, output_width(leaf)])
            raise Refused(policy_pb2.REASON_SHAPE, f"{field}[{number}]", expected, str(list(mask.shape)))
        found[leaf.path] = mask
    return found


def _one(tensor: Any, shape: tuple[int, ...], field: str) -> Array:
    array = from_tensor(tensor, field)
    if array.shape != shape:
        raise Refused(policy_pb2.REASON_SHAPE, field, str(list(shape)), str(list(array.shape)))
    return array


def mean_rewards(segments: list[Segment]) -> NDArray[np.float64]:
    """Mean reward per step of each agent over all steps and copies, float64 (N,)."""
    return np.array(
        [float(np.mean([s.agents[i].reward.mean() for s in segments])) for i in range(len(segments[0].agents))]
    )


def episode_returns(segments: Sequence[Segment]) -> NDArray[np.float64]:
    """What each agent earned in each episode, undiscounted, float64 (episodes, N), in order of block and copy.

    What was earned until an environment failed is no return: those episodes are NaN.

    Args:
        segments: all of whole blocks; a block is one episode in each of its copies.
    """
    blocks: dict[int, NDArray[np.float64]] = {}
    for segment in segments:
        earned = np.stack([part.reward.sum(axis=0) for part in segment.agents], axis=1)
        earned[list(segment.failed)] = np.nan
        blocks[segment.block] = blocks.get(segment.block, 0.0) + earned
    return np.concatenate([blocks[block] for block in sorted(blocks)])


def mean_returns(returns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means (N,) of returns (episodes, N) over the episodes that did not fail; NaN if all did."""
    whole = returns[np.isfinite(returns).all(axis=1)]
    return whole.mean(axis=0) if len(whole) else np.full(returns.shape[1], np.nan)


def count_episodes(segments: Sequence[Segment], failures: Failures) -> None:
    """Count the episodes of whole blocks, and those that failed."""
    for segment in segments:
        if segment.last:
            failures.add(segment.agents[0].reward.shape[1], segment.failures)
