"""An agent service that holds answers back until it is asked again: what a hang looks like, without a clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np

from agora.codec import to_tensor
from agora.spaces import from_proto, leaves
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc
from agora.version import PROTOCOL_VERSION

SAYS = 0.25
"""What every element of its actions is."""


class Late(agent_pb2_grpc.AgentServiceServicer):
    """Answers every frame with the same action, in any game of Boxes.

    A caller that asks again, or goes on to its next frame, has waited for its whole deadline. Only then what was held
    back is sent, in order.

    Args:
        holds: whether the n-th frame's answer, from 0 on, is held back until another frame comes.
    """

    def __init__(self, holds: Callable[[int], bool]) -> None:
        self.holds, self.frames = holds, 0

    def Act(self, requests: Iterator[pb.ActRequest], context: Any) -> Iterator[pb.ActResponse]:
        """One stream."""
        hello = next(requests).hello
        spaces = {agent.index: leaves(from_proto(agent.action_space)) for agent in hello.agents}
        welcome = pb.AgentWelcome(protocol_version=PROTOCOL_VERSION, memory_bytes=[0] * len(spaces))
        yield pb.ActResponse(welcome=welcome)
        held = []
        for request in requests:
            held.append(self._answer(request.decisions, spaces))
            self.frames += 1
            if not self.holds(self.frames - 1):
                yield from held
                held = []

    def _answer(self, asked: pb.DecisionsRequest, spaces: Any) -> pb.ActResponse:
        said = pb.Decisions(sequence=asked.sequence)
        for part in asked.agents:
            rows = len(part.copies) // 4
            actions = [to_tensor(np.full((rows, *leaf.shape), SAYS, leaf.dtype)) for leaf in spaces[part.index]]
            said.agents.add(index=part.index, action=actions, log_prob=to_tensor(np.zeros(rows, np.float32)))
        return pb.ActResponse(decisions=said)


@contextmanager
def late(holds: Callable[[int], bool]) -> Iterator[str]:
    """The address of such a service."""
    server = grpc.server(ThreadPoolExecutor(4))
    agent_pb2_grpc.add_AgentServiceServicer_to_server(Late(holds), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
