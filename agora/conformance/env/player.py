"""An agent service of the suite's own, for sessions in which services play: a process beside it.

``python -m agora.conformance.env.player`` prints its address and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE

import grpc.aio
import numpy as np

from agora.agents.handler import Handler
from agora.agents.policy import Batch, Categorical, Chosen, Decide, Decision, Head, Spaces, choices_of, output_width
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.channels import SERVER_OPTIONS, bind
from agora.spaces import Leaf
from agora.v1 import agent_pb2_grpc


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
    middle = np.broadcast_to((leaf.low / 2 + leaf.high / 2).astype(leaf.dtype), (rows, *leaf.shape))
    return Chosen(np.ascontiguousarray(middle))


class Player:
    """The process, and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self._process, self.address = process, address

    @classmethod
    async def start(cls) -> Player:
        """Start it on a free loopback port."""
        command = [sys.executable, "-m", "agora.conformance.env.player"]
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
        if process.stdout is None:
            raise AssertionError("a pipe was asked for")
        return cls(process, (await process.stdout.readline()).decode().strip())

    async def stop(self) -> None:
        """End it."""
        self._process.kill()
        await self._process.communicate()


async def _serve() -> None:
    shelf = Shelf("middle", "conformance")
    shelf.put(Held(Middle(), NO_VERSION))
    serving = grpc.aio.server(options=SERVER_OPTIONS)
    agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentServicer(Handler([shelf])), serving)
    address = bind(serving, "127.0.0.1:0")
    await serving.start()
    print(address, flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
