"""``RolloutService``: converts, plays, converts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

from agora.codec import to_tensor
from agora.v1 import rollout_pb2 as pb, rollout_pb2_grpc, tensor_pb2
from env_server.environments.base import Array
from env_server.rollout.collect import Collection, Workshop
from env_server.rollout.trajectory import AgentTrajectory, Trajectory


class RolloutServicer(rollout_pb2_grpc.RolloutServiceServicer):
    """See ``RolloutService`` in protos/agora/v1/rollout.proto."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def Collect(  # noqa: N802  # named by the contract
        self, request: pb.CollectRequest, context: Any
    ) -> AsyncIterator[pb.CollectResponse]:
        """Play blocks and stream them."""
        collection = Collection(request, self._workshop)
        async for trajectory in collection.play():
            yield pb.CollectResponse(segment=_segment(request.run, trajectory))
        yield pb.CollectResponse(summary=collection.summary)


def _segment(run: str, trajectory: Trajectory) -> pb.Segment:
    return pb.Segment(
        run=run,
        block=trajectory.block,
        steps=trajectory.steps,
        num_envs=len(trajectory.copies),
        state=_tensors(trajectory.state.values()),
        agents=[_agent(agent) for agent in trajectory.agents],
    )


def _agent(agent: AgentTrajectory) -> pb.AgentTrajectory:
    return pb.AgentTrajectory(
        observation=_tensors(agent.observation.values()),
        action_mask=_tensors(agent.action_mask.values()),
        action=_tensors(agent.action.values()),
        log_prob=to_tensor(agent.log_prob),
        reward=to_tensor(agent.reward),
        terminated=to_tensor(agent.terminated),
        truncated=to_tensor(agent.truncated),
        acted=to_tensor(agent.acted),
        policy_id=agent.policy_id,
        version=to_tensor(agent.version),
    )


def _tensors(arrays: Iterable[Array]) -> list[tensor_pb2.Tensor]:
    return [to_tensor(array) for array in arrays]
