"""Supply-chain worlds with factories behind agent services, for measurements."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import pyarrow.parquet as pq

from agora.channels import connect_blocking
from agora.randomness import generator
from agora.v1 import environment_pb2, rollout_pb2 as pb, rollout_pb2_grpc, seat_pb2
from bench.processes import Service
from env_server.rollout.runner import Block

SERVICE = "service"


class Remote:
    """An environment server, and an agent service with the haggler for each seat whose policy is "service".

    Args:
        levels: per level, the policies of its factories.
        worlds: copies of a block.
        runs: folder of runs, for tracked ones.
        config: further settings of the environment.
    """

    def __init__(self, levels: Sequence[Sequence[str]], worlds: int, runs: Path | None = None, **config: Any) -> None:
        self.worlds = worlds
        self.services: dict[str, Service] = {}
        self._runs = runs
        self._stack = ExitStack()
        self._config = {"seats": [list(level) for level in levels], "shield": "none", **config}
        flat = [policy for level in levels for policy in level]
        self._agents = [f"factory_{i}" for i, policy in enumerate(flat) if policy == SERVICE]

    def __enter__(self) -> Self:
        for agent in self._agents:
            self.services[agent] = Service("agent_services", ["--policy", "scripted:haggler", "--policy-id", agent])
            self.services[agent].start(wait=False)
            self._stack.callback(self.services[agent].stop)
        for service in self.services.values():
            service.wait()
        if self._runs is not None:
            os.environ["AGORA_RUNS"] = str(self._runs)
        server = self._stack.enter_context(Service("env_server", []))
        self._stub = rollout_pb2_grpc.RolloutServiceStub(self._stack.enter_context(connect_blocking(server.address)))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def seeds(self, block: int) -> list[int]:
        """The worlds' own seeds, as the environment draws them."""
        start = Block(0, block).environment_seed
        return [int(generator(start, copy).integers(2**31)) for copy in range(self.worlds)]

    def play(self, block: int, deadline: float = 5.0, **config: Any) -> pb.CollectSummary:
        """Play a block; settings given here add to those of all blocks."""
        settings = json.dumps({**self._config, **config})
        seats = [seat_pb2.Seat(agent=agent, addresses=[service.address]) for agent, service in self.services.items()]
        request = pb.CollectRequest(
            environment=environment_pb2.EnvironmentSpec(name="scml", config_json=settings, num_envs=self.worlds),
            seats=seats, seed=0, first_block=block, num_blocks=1, deadline_us=int(deadline * 1e6),
            fallback=pb.FALLBACK_ENVIRONMENT_DEFAULT, retries=1, outcomes_only=True,
        )  # fmt: skip
        *_, last = self._stub.Collect(request, timeout=600)
        return last.summary


def rows(run: Path, table: str) -> list[dict[str, Any]]:
    """All rows of a tracked run's table."""
    found: list[dict[str, Any]] = pq.read_table(run / "tables" / table).to_pylist()
    return found
