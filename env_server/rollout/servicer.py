"""``RolloutService``: converts, plays, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from agora.channels import MAX_MESSAGE_BYTES
from agora.codec import to_tensor
from agora.errors import Refused
from agora.spaces import Space, leaves, ordered
from agora.v1 import policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc, tensor_pb2
from env_server.environments.base import Environment, Values
from env_server.rollout.collect import Collection, Workshop
from env_server.rollout.trajectory import AgentTrajectory, Trajectory

PART_BYTES = MAX_MESSAGE_BYTES // 4
"""A block is sent in parts of this size; both sides hold a part twice for a moment."""


class RolloutServicer(rollout_pb2_grpc.RolloutServiceServicer):
    """See ``RolloutService`` in protos/agora/v1/rollout.proto."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def Collect(  # named by the contract
        self, request: pb.CollectRequest, context: Any
    ) -> AsyncIterator[pb.CollectResponse]:
        """Play blocks and stream them."""
        collection = await Collection.prepare(request, self._workshop)
        async for trajectory in collection.play():
            for first, end in _parts(trajectory):
                segment = _segment(request.run, trajectory.part(first, end), collection.environment)
                segment.first_step, segment.last = first, end == trajectory.steps
                yield pb.CollectResponse(segment=segment)
        yield pb.CollectResponse(summary=collection.summary)


def _parts(trajectory: Trajectory) -> list[tuple[int, int]]:
    """First and end of as many steps as go into one message.

    Raises:
        Refused: one step alone is too large.
    """
    step_bytes = 1 + trajectory.nbytes // trajectory.steps
    size = PART_BYTES // step_bytes
    if not size:
        expected = f"at most {PART_BYTES} bytes for one step of all copies"
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "environment.num_envs", expected, f"{step_bytes} bytes")
    return [(first, min(first + size, trajectory.steps)) for first in range(0, trajectory.steps, size)]


def _segment(run: str, trajectory: Trajectory, environment: Environment) -> pb.Segment:
    names = environment.agents
    return pb.Segment(
        run=run,
        block=trajectory.block,
        steps=trajectory.steps,
        num_envs=len(trajectory.copies),
        state=_tensors(trajectory.state, environment.state_space),
        agents=[
            _agent(agent, environment.observation_spaces[name], environment.action_spaces[name])
            for name, agent in zip(names, trajectory.agents, strict=True)
        ],
    )


def _agent(agent: AgentTrajectory, observation_space: Space, action_space: Space) -> pb.AgentTrajectory:
    return pb.AgentTrajectory(
        observation=_tensors(agent.observation, observation_space),
        action_mask=_tensors(agent.action_mask, action_space) if agent.action_mask else (),
        action=_tensors(agent.action, action_space),
        log_prob=to_tensor(agent.log_prob),
        reward=to_tensor(agent.reward),
        terminated=to_tensor(agent.terminated),
        truncated=to_tensor(agent.truncated),
        acted=to_tensor(agent.acted),
        policy_id=agent.policy_id,
        version=to_tensor(agent.version),
    )


def _tensors(values: Values, space: Space) -> list[tensor_pb2.Tensor]:
    return [to_tensor(array) for array in ordered(values, leaves(space))]
