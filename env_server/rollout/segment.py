"""A block's trajectory as the message that carries it, with one copy of its arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from agora.spaces import Leaf, leaves, ordered
from agora.v1 import rollout_pb2 as pb
from agora.wire import opening, tensor_opening
from env_server.environments.base import Array, Environment
from env_server.rollout.moments import Moments
from env_server.rollout.trajectory import AgentTrajectory, Trajectory

Chunk = bytes | memoryview
_Segment, _Agent = pb.Segment, pb.AgentTrajectory


class SegmentEncoder:
    """Encodes the blocks of one collection."""

    def __init__(self, run: str, environment: Environment, *, outcomes_only: bool = False) -> None:
        """Prepare.

        Args:
            run: the run's name.
            environment: what is played.
            outcomes_only: whether what was seen and done is left out.
        """
        self._run, self._outcomes_only = run, outcomes_only
        self._state = leaves(environment.state_space)
        self._spaces = [
            (leaves(environment.observation_spaces[agent]), leaves(environment.action_spaces[agent]))
            for agent in environment.agents
        ]

    def encode(self, part: Trajectory, first_step: int, last: bool) -> bytes:
        """A ``CollectResponse`` with some steps of a block.

        Args:
            part: those steps.
            first_step: the first one's number in the episode.
            last: whether the block ends with them.
        """
        head = _Segment(
            run=self._run,
            block=part.block,
            steps=part.steps,
            num_envs=len(part.copies),
            first_step=first_step,
            last=last,
            failures=[pb.EpisodeFailure(**vars(failure)) for failure in part.failures] if last else (),
        ).SerializeToString()
        chunks: list[Chunk] = [head]
        length = len(head)
        if not self._outcomes_only:
            length += _write_leaves(chunks, _Segment.STATE_FIELD_NUMBER, part.state, self._state)
        for agent, (seen, done) in zip(part.agents, self._spaces, strict=True):
            body: list[Chunk] = []
            size = _write_outcomes(body, agent)
            if not self._outcomes_only:
                size += _write_seen_and_done(body, agent, seen, done)
            before = opening(_Segment.AGENTS_FIELD_NUMBER, size)
            chunks += (before, *body)
            length += len(before) + size
        return b"".join((opening(pb.CollectResponse.SEGMENT_FIELD_NUMBER, length), *chunks))


def _write_seen_and_done(
    chunks: list[Chunk], agent: AgentTrajectory, seen: Sequence[Leaf], done: Sequence[Leaf]
) -> int:
    length = _write_leaves(chunks, _Agent.OBSERVATION_FIELD_NUMBER, agent.observation, seen)
    length += _write_leaves(chunks, _Agent.ACTION_FIELD_NUMBER, agent.action, done)
    if agent.action_mask:
        length += _write_leaves(chunks, _Agent.ACTION_MASK_FIELD_NUMBER, agent.action_mask, done)
    return length


def _write_outcomes(chunks: list[Chunk], agent: AgentTrajectory) -> int:
    head = _Agent(policy_id=agent.policy_id).SerializeToString()
    chunks.append(head)
    length = len(head)
    for field, array in (
        (_Agent.LOG_PROB_FIELD_NUMBER, agent.log_prob),
        (_Agent.REWARD_FIELD_NUMBER, agent.reward),
        (_Agent.TERMINATED_FIELD_NUMBER, agent.terminated),
        (_Agent.TRUNCATED_FIELD_NUMBER, agent.truncated),
        (_Agent.ACTED_FIELD_NUMBER, agent.acted),
        (_Agent.VERSION_FIELD_NUMBER, agent.version),
    ):
        length += _write(chunks, field, array)
    return length


def _write_leaves(chunks: list[Chunk], field: int, values: Mapping[str, Moments], members: Sequence[Leaf]) -> int:
    length = 0
    for moments in ordered(values, members):
        before = tensor_opening(field, moments.dtype, moments.shape)
        chunks += (before, *moments.chunks())
        length += len(before) + moments.nbytes
    return length


def _write(chunks: list[Chunk], field: int, array: Array) -> int:
    before = tensor_opening(field, array.dtype, array.shape)
    chunks += (before, np.ascontiguousarray(array).data)
    return len(before) + array.nbytes
