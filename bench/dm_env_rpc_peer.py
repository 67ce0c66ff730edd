"""dm_env_rpc's own Python library as a server of the game in ``bench.dm_env_rpc_game``.

``python -m bench.dm_env_rpc_peer --listen ADDRESS --copies B`` is written as the library's examples are: a synchronous
gRPC server with a thread for every stream, ``SpecManager`` packs and unpacks. With more than one copy they are the
first axis of every tensor, which the protocol leaves to the server. ``--ready`` answers every step, unread, with the
bytes of the first one's answer: no server on gRPC's Python library can do less.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from dm_env_rpc.v1 import dm_env_rpc_pb2 as pb, dm_env_rpc_pb2_grpc, spec_manager, tensor_spec_utils
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from bench.dm_env_rpc_game import OneSeat, OneSeatConfig
from bench.peer_rules import ACTIONS, WIDTH

STREAMS = 80
SERVICE = "dm_env_rpc.v1.Environment"
STEP = b"\x1a"
"""The first byte of a request that is a step: field 3, length-delimited."""


def specs(copies: int) -> pb.ActionObservationSpecs:
    """The tensors of ``copies`` copies."""
    batch = [] if copies == 1 else [copies]
    action = pb.TensorSpec(name="action", shape=[*batch, ACTIONS], dtype=pb.FLOAT)
    tensor_spec_utils.set_bounds(action, -1.0, 1.0)
    seen = pb.TensorSpec(name="observation", shape=[*batch, WIDTH], dtype=pb.FLOAT)
    reward = pb.TensorSpec(name="reward", shape=batch, dtype=pb.DOUBLE)
    return pb.ActionObservationSpecs(actions={1: action}, observations={1: seen, 2: reward})


class Servicer:
    """One world for each stream."""

    def __init__(self, copies: int) -> None:
        self._copies = copies

    def Process(  # named by the contract
        self, request_iterator: Iterator[pb.EnvironmentRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.EnvironmentResponse]:
        """Answer every request in its turn."""
        stream = Stream(self._copies)
        for request in request_iterator:
            response = pb.EnvironmentResponse()
            try:
                stream.answer(request, response)
            except (ValueError, KeyError) as error:
                response.error.CopyFrom(status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=str(error)))
            yield response


class Ready(Servicer):
    """The same, but steps are neither read nor played."""

    def Process(self, request_iterator: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer the first step, and repeat that answer."""
        parsed: deque[pb.EnvironmentRequest] = deque()
        answers = super().Process(iter(parsed.popleft, None), context)
        ready = b""
        for message in request_iterator:
            if not (ready and message.startswith(STEP)):
                parsed.append(pb.EnvironmentRequest.FromString(message))
                answer = next(answers).SerializeToString()
                ready = answer if message.startswith(STEP) else b""
                yield answer
            else:
                yield ready


class Stream:
    """A client's game."""

    def __init__(self, copies: int) -> None:
        self._game = OneSeat(OneSeatConfig(), copies)
        self._copies = np.arange(copies, dtype=np.uint32)
        self._specs = specs(copies)
        self._actions = spec_manager.SpecManager(self._specs.actions)
        self._observations = spec_manager.SpecManager(self._specs.observations)
        self._begun = False

    def answer(self, request: pb.EnvironmentRequest, response: pb.EnvironmentResponse) -> None:
        """Do what is asked."""
        match request.WhichOneof("payload"):
            case "create_world":
                response.create_world.world_name = "world"
            case "join_world":
                response.join_world.specs.CopyFrom(self._specs)
            case "step":
                self._step(request.step, response.step)
            case kind:
                raise ValueError(f"expected create_world, join_world or step, got {kind}")

    def _step(self, request: pb.StepRequest, response: pb.StepResponse) -> None:
        if self._begun:
            action = self._actions.unpack(request.actions)["action"]
            step = self._game.step([{"": action.reshape(-1, ACTIONS)}])
        else:
            step, self._begun = self._game.reset(0, self._copies), True
        seen, reward = step.observations[0][""], step.rewards[:, 0]
        alone = len(self._copies) == 1
        packed = self._observations.pack(
            {"observation": seen[0] if alone else seen, "reward": reward[0] if alone else reward}
        )
        response.state = pb.RUNNING
        for uid in request.requested_observations:
            response.observations[uid].CopyFrom(packed[uid])


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--copies", type=int, required=True)
    parser.add_argument("--ready", action="store_true")
    options = parser.parse_args()
    server = grpc.server(ThreadPoolExecutor(STREAMS))
    if options.ready:
        process: Any = grpc.stream_stream_rpc_method_handler(Ready(options.copies).Process)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Process": process}),))
    else:
        dm_env_rpc_pb2_grpc.add_EnvironmentServicer_to_server(Servicer(options.copies), server)
    checker = health.HealthServicer()
    checker.set("", HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    server.add_insecure_port(options.listen)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
