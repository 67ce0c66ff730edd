"""A sound agent: the project's own servicer around a policy of keyed draws.

A subclass that changes what it hears (``heard``, ``hear``) or says (``said``, ``say``) has one defect, and is known by
the cases of the conformance suite that must name it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

import grpc
import grpc.aio
import numpy as np
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agora.agents.handler import Handler
from agora.agents.policy import (
    Array,
    Batch,
    Categorical,
    Chosen,
    Decide,
    Decision,
    Head,
    Policy,
    Spaces,
    choices_of,
    output_width,
)
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.channels import SERVER_OPTIONS, bind
from agora.codec import to_tensor
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, tensor_pb2

Requests = AsyncIterator[pb.ActRequest]
Answers = AsyncIterator[pb.ActResponse]


class Keyed:
    """Draws anything legal, keyed by row."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        def decide(batch: Batch) -> Decision:
            return Decision([head(number, leaf, batch) for number, leaf in enumerate(spaces.action)])

        return decide


def head(number: int, leaf: Leaf, batch: Batch) -> Head:
    if choices_of(leaf):
        return Categorical(batch.draws.uniform(100 + number, output_width(leaf)))  # not the draws of exploring
    shares = batch.draws.uniform(number, output_width(leaf)).reshape(batch.rows, *leaf.shape).astype(np.float64)
    return Chosen(np.asarray(leaf.low + (leaf.high - leaf.low) * shares, leaf.dtype))


class Sound(AgentServicer):
    """Keeps the contract."""

    cases: ClassVar[tuple[str, ...]] = ()
    """Which cases must fail; where not ``wide``, no others of their topics."""
    wide: ClassVar[bool] = False
    policy: ClassVar[type[Policy]] = Keyed
    patience: ClassVar[float] = 5.0
    """Seconds that the suite waits for each answer."""
    health: ClassVar[Any] = health_pb2.HealthCheckResponse.SERVING

    def __init__(self) -> None:
        shelf = Shelf("keyed", "test")
        shelf.put(Held(self.policy(), NO_VERSION))
        super().__init__(Handler([shelf]))
        self.streams = 0

    async def heard(self, requests: Requests) -> Requests:
        async for request in requests:
            changed = self.hear(request)
            if changed is not None:
                yield changed

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        return request

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            self.say(answer)
            yield answer

    def say(self, answer: pb.ActResponse) -> None:
        """Change an answer in place."""

    async def Act(self, request_iterator: Requests, context: Any = None) -> Answers:
        self.streams += 1
        with suppress(asyncio.CancelledError):  # the server stops while streams are open
            async for answer in self.said(super().Act(self.heard(request_iterator), context), context):
                yield answer


@asynccontextmanager
async def serving(agent: Sound, listen: str = "127.0.0.1:0") -> AsyncIterator[str]:
    """Serve an agent; its address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(agent, server)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    for name in ("", "agora.v1.AgentService"):
        await checker.set(name, agent.health)
    address = bind(server, listen)
    await server.start()
    try:
        yield address
    finally:
        await server.stop(0.0)


def parts(answer: pb.ActResponse) -> Sequence[pb.Actions]:
    """The agents of an answer; none of a welcome or refusal."""
    return answer.decisions.agents if answer.WhichOneof("kind") == "decisions" else ()


def put(tensor: tensor_pb2.Tensor, array: Array) -> None:
    tensor.CopyFrom(to_tensor(np.ascontiguousarray(array)))
