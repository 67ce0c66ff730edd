"""An agent service of the suite's own, for sessions in which services play."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import numpy as np
from grpc.aio import Server as GrpcServer, server

from agora.agents.handler import Handler
from agora.agents.policy import Batch, Categorical, Chosen, Decide, Decision, Head, Spaces, choices_of, output_width
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.channels import SERVER_OPTIONS, bind
from agora.interceptors import Context
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc


class Middle:
    """The middle of the bounds, or the first legal choice."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """For any spaces."""

        def decide(batch: Batch) -> Decision:
            return Decision([_middle(leaf, batch.rows) for leaf in spaces.action])

        return decide


def _middle(leaf: Leaf, rows: int) -> Head:
    if choices_of(leaf):
        return Categorical(np.zeros((rows, output_width(leaf)), np.float32))
    middle = np.broadcast_to((leaf.low + (leaf.high - leaf.low) / 2).astype(leaf.dtype), (rows, *leaf.shape))
    return Chosen(np.ascontiguousarray(middle))


class Player(AgentServicer):
    """Serves the middle until the suite ends, which is no fault."""

    async def Act(
        self, request_iterator: AsyncIterator[pb.ActRequest], context: Context | None = None
    ) -> AsyncIterator[pb.ActResponse]:
        """As every agent service."""
        with suppress(asyncio.CancelledError):
            async for answer in super().Act(request_iterator, context):
                yield answer


async def start_player() -> tuple[GrpcServer, str]:
    """Serve on a free loopback port; the server and its address."""
    shelf = Shelf("middle", "conformance")
    shelf.put(Held(Middle(), NO_VERSION))
    serving = server(options=SERVER_OPTIONS)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Player(Handler([shelf])), serving)
    address = bind(serving, "127.0.0.1:0")
    await serving.start()
    return serving, address
