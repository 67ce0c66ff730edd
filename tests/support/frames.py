"""Hellos and frames as an environment server sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from agora.codec import from_tensor, to_tensor
from agora.spaces import leaves, to_proto
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, policy_pb2
from tests.support import models

ALL = (1, 2, 3, 4)


def hello(
    agents: int = 1,
    policy: str | None = None,
    observation: spaces.Space[Any] | None = None,
    action: spaces.Space[Any] | None = None,
    seed: int = 5,
    capabilities: Sequence[int] = ALL,
) -> pb.AgentHello:
    """A hello for ``station_0`` and so on, each with the policy of its own name unless told otherwise."""
    message = pb.AgentHello(protocol_versions=[1], capabilities=capabilities, seed=seed, environment="charging")
    for i in range(agents):
        spec = message.agents.add(index=i, id=f"station_{i}")
        spec.observation_space.CopyFrom(to_proto(observation or models.observation_space()))
        spec.action_space.CopyFrom(to_proto(action or models.action_space()))
        spec.policy.policy_id = f"station_{i}" if policy is None else policy
    return message


def random_observation(rows: int, seed: int = 0, space: spaces.Space[Any] | None = None) -> list[NDArray[Any]]:
    """Legal leaves (rows, ...); row r is the same whatever ``rows``."""
    found = []
    for number, leaf in enumerate(leaves(space or models.observation_space())):
        draws = np.stack([np.random.default_rng((seed, number, r)).random(leaf.shape) for r in range(rows)])
        values = leaf.low + (leaf.high - leaf.low) * draws
        found.append((np.rint(values) if leaf.dtype.kind != "f" else values).astype(leaf.dtype))
    return found


def frame(
    observations: Sequence[NDArray[Any]],
    copies: Sequence[int] | NDArray[np.uint32] | None = None,
    sequence: int = 1,
    agents: Sequence[int] = (0,),
    noise: float | None = None,
    temperature: float | None = None,
    step: int = 0,
    steps: Sequence[int] | None = None,
    deadline: float = 60.0,
    minimum: tuple[int, int] | None = None,
    exact: tuple[int, int] | None = None,
) -> pb.DecisionsRequest:
    """A frame in which every agent sees the same."""
    message = pb.DecisionsRequest(sequence=sequence, block=3, step=step, deadline_us=int(deadline * 1e6))
    numbers = np.arange(len(observations[0])) if copies is None else np.asarray(copies)
    for index in agents:
        rows = message.agents.add(index=index, copies=numbers.astype("<u4").tobytes())
        rows.observation.extend(to_tensor(values) for values in observations)
        if noise is not None or temperature is not None:
            rows.exploration.CopyFrom(pb.Exploration(noise_scale=noise or 0.0, temperature=temperature or 0.0))
        if steps is not None:
            rows.steps = np.asarray(steps, "<u4").tobytes()
        for version, field in ((minimum, rows.policy.min_version), (exact, rows.policy.exact_version)):
            if version is not None:
                field.CopyFrom(policy_pb2.PolicyVersion(epoch=version[0], step=version[1]))
    return message


def action_of(decisions: pb.Decisions, agent: int = 0, leaf: int = 0) -> NDArray[Any]:
    """One leaf of an agent's answer."""
    return from_tensor(decisions.agents[agent].action[leaf])


class Talk:
    """One Act stream to a service, after its hello."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = agent_pb2_grpc.AgentServiceStub(channel).Act()

    async def hello(self, message: pb.AgentHello) -> pb.ActResponse:
        """Say hello."""
        return await self._exchange(pb.ActRequest(hello=message))

    async def ask(self, message: pb.DecisionsRequest) -> pb.ActResponse:
        """Send a frame and read its answer."""
        return await self._exchange(pb.ActRequest(decisions=message))

    async def _exchange(self, request: pb.ActRequest) -> pb.ActResponse:
        await self._call.write(request)
        answer = await self._call.read()
        assert isinstance(answer, pb.ActResponse), "the stream ended"
        return answer

    def close(self) -> None:
        """Hang up."""
        self._call.cancel()


async def wait_for(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Return when a condition holds; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)
