"""dm_env_rpc's own Python client, driving as fast as it can.

``python -m bench.dm_env_rpc_client ADDRESS --copies B --streams S`` creates and joins a world for each stream; for each
line on its standard input it steps for so many seconds and prints how many steps were answered. A stream packs every
action, unpacks every observation and waits for each answer, as the library's environment does. ``--ahead N`` keeps N
requests under way in each stream; ``--replay`` packs one request, sends it again and again, and leaves answers packed.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time

import grpc
import numpy as np
from dm_env_rpc.v1 import connection, dm_env_rpc_pb2 as pb, dm_env_rpc_pb2_grpc, spec_manager, tensor_utils


class Driver:
    """One joined stream."""

    def __init__(self, channel: grpc.Channel, copies: int, *, replay: bool) -> None:
        self._stream = connection.StreamReaderWriter(dm_env_rpc_pb2_grpc.EnvironmentStub(channel))
        settings = {"num_envs": tensor_utils.pack_tensor(copies)} if copies > 1 else {}
        world = self._ask(pb.EnvironmentRequest(create_world=pb.CreateWorldRequest(settings=settings))).create_world
        join = pb.JoinWorldRequest(world_name=world.world_name)
        specs = self._ask(pb.EnvironmentRequest(join_world=join)).join_world.specs
        self._actions = spec_manager.SpecManager(specs.actions)
        self._observations = spec_manager.SpecManager(specs.observations)
        self._asked = [self._observations.name_to_uid(name) for name in ("observation", "reward")]
        shape = tuple(self._actions.name_to_spec("action").shape)
        self._action = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
        self._replay = replay
        self._packed = self._pack()
        self.send()
        self.receive()

    def _ask(self, request: pb.EnvironmentRequest) -> pb.EnvironmentResponse:
        self._stream.write(request)
        return self._stream.read()

    def _pack(self) -> pb.EnvironmentRequest:
        actions = self._actions.pack({"action": self._action})
        return pb.EnvironmentRequest(step=pb.StepRequest(requested_observations=self._asked, actions=actions))

    def send(self) -> None:
        """A step."""
        self._stream.write(self._packed if self._replay else self._pack())

    def receive(self) -> None:
        """Its answer."""
        response = self._stream.read()
        if response.WhichOneof("payload") != "step":
            raise RuntimeError(str(response))
        if not self._replay:
            self._observations.unpack(response.step.observations)

    def drive(self, seconds: float, ahead: int) -> None:
        """Step for so long."""
        self.steps = 0
        for _ in range(ahead - 1):
            self.send()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self.send()
            self.receive()
            self.steps += 1
        for _ in range(ahead - 1):
            self.receive()


def main() -> None:
    """Join, and drive when told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--ahead", type=int, default=1)
    parser.add_argument("--replay", action="store_true")
    options = parser.parse_args()
    with grpc.insecure_channel(options.address) as channel:
        drivers = [Driver(channel, options.copies, replay=options.replay) for _ in range(options.streams)]
        print("joined", flush=True)
        for line in sys.stdin:
            print(drive(drivers, float(line), options.ahead), flush=True)


def drive(drivers: list[Driver], seconds: float, ahead: int) -> int:
    """Let all streams step at the same time; how many steps were answered."""
    threads = [threading.Thread(target=driver.drive, args=(seconds, ahead)) for driver in drivers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(driver.steps for driver in drivers)


if __name__ == "__main__":
    main()
