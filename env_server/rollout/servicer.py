"""``RolloutService``: converts, plays, converts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import grpc.aio

from agora.channels import MAX_MESSAGE_BYTES
from agora.errors import Refused
from agora.v1 import policy_pb2, rollout_pb2 as pb
from env_server.rollout.collect import Collection, Workshop
from env_server.rollout.segment import SegmentEncoder
from env_server.rollout.trajectory import Trajectory

PART_BYTES = MAX_MESSAGE_BYTES // 4
"""A block is sent in parts of this size; both sides hold a part twice for a moment."""


NAME = "agora.v1.RolloutService"


class RolloutServicer:
    """See ``RolloutService`` in protos/agora/v1/rollout.proto."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def register(self, server: grpc.aio.Server) -> None:
        """Add ``Collect`` to a server; its responses are encoded here."""
        collect: Any = grpc.unary_stream_rpc_method_handler(self.collect, pb.CollectRequest.FromString)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(NAME, {"Collect": collect}),))

    async def collect(self, request: pb.CollectRequest, context: Any) -> AsyncIterator[bytes]:
        """Play blocks and stream them; every item is a ``CollectResponse``."""
        collection = await Collection.prepare(request, self._workshop)
        encoder = SegmentEncoder(request.run, collection.environment, outcomes_only=request.outcomes_only)
        async for trajectory in _ahead(collection.play()):
            for first, end in _parts(trajectory):
                yield encoder.encode(trajectory.part(first, end), first, end == trajectory.steps)
        yield pb.CollectResponse(summary=collection.summary).SerializeToString()


async def _ahead(trajectories: AsyncGenerator[Trajectory]) -> AsyncIterator[Trajectory]:
    """The same, but the next one is begun before this one is handed on: it is played while this one is sent."""
    pending = asyncio.ensure_future(anext(trajectories, None))
    try:
        while (trajectory := await pending) is not None:
            pending = asyncio.ensure_future(anext(trajectories, None))
            yield trajectory
    finally:
        pending.cancel()
        await asyncio.gather(pending, return_exceptions=True)
        await trajectories.aclose()


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
