"""Worlds per hour: the engine's own way, ours, and with factories played by agent services."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from agora.channels import connect_blocking
from agora.randomness import generator
from agora.v1 import environment_pb2, rollout_pb2, rollout_pb2_grpc
from bench.processes import ROOT, Service
from bench.report import Row
from env_server.rollout.runner import Block

TITLE = "worlds per hour: at least 4x the engine's own way, and what agent services leave of it"
FINALISTS = ("penguin", "as0", "cautious", "pricetrend", "ponpon", "takalink")
FACTORIES = 8
CORES = 2
GOAL = 10_000
DEADLINE = 5_000_000
"""Microseconds; none may be missed."""


def run(quick: bool) -> list[Row]:
    """Time all ways."""
    repeats, worlds = (1, 4) if quick else (5, 32)
    days = 10 if quick else 50
    rows = _own_way("2x4 Penguin", ("penguin",), (4, 4), days, repeats, judged=not quick)
    rows += _own_way("2x6 finalists", FINALISTS, (6, 6), days, min(repeats, 2), judged=False)
    played = [_in_process(range(i * worlds, (i + 1) * worlds), ["penguin"], days) for i in range(repeats)]
    holds = quick or statistics.median(played) >= GOAL
    rows.append(Row("2x4 Penguin, worlds per hour on 2 cores", played, "1/h", f">= {GOAL}", holds))
    return rows + _services(worlds, days, repeats, judged=not quick)


def _own_way(
    name: str, policies: Sequence[str], shape: tuple[int, ...], days: int, repeats: int, judged: bool
) -> list[Row]:
    """Pairs of the same world, once each way, one at a time."""
    ratios, differences = [], []
    for seed in range(repeats):
        default, fast = (_finish(_measure([seed], policies, shape, days, way))[0] for way in ("default", "fast"))
        ratios.append(default["seconds"] / fast["seconds"])
        differences.append(max(abs(a - b) for a, b in zip(default["scores"], fast["scores"], strict=True)))
    same = max(differences) < 1e-9
    return [
        Row(
            f"{name}: engine's own seconds / ours",
            ratios,
            "",
            ">= 4" if judged else "reported",
            not judged or statistics.median(ratios) >= 4,
        ),
        Row(f"{name}: largest difference of a score", differences, "", "= 0", same),
    ]


def _measure(
    seeds: Sequence[int], policies: Sequence[str], shape: tuple[int, ...], days: int, way: str, streams: str = "shared"
) -> subprocess.Popen[str]:
    words = ["--way", way, "--days", str(days), "--streams", streams, "--policies", *policies]
    words += ["--shape", *map(str, shape), "--seeds", *map(str, seeds)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "scml_engine.measure", *words],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def _finish(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"python -m scml_engine.measure: exit code {process.returncode}")
    return [json.loads(line) for line in said.splitlines()]


def _in_process(seeds: Sequence[int], policies: Sequence[str], days: int) -> float:
    """Worlds per hour of as many processes as cores, each with its share of the worlds, without their start."""
    shares = [seeds[i::CORES] for i in range(CORES)]
    processes = [_measure(share, policies, (4, 4), days, "fast", "seat") for share in shares]
    rates = [len(rows) / float(sum(row["seconds"] for row in rows)) for rows in map(_finish, processes)]
    return 3600.0 * sum(rates)


def _services(worlds: int, days: int, repeats: int, judged: bool) -> list[Row]:
    """The same worlds with the haggler in the engine's process, and in agent services."""
    rows, missed = [], 0
    for name, served, target in (("one factory", 1, 0.9), ("all factories", FACTORIES, 0.75)):
        policies = ["service"] * served + ["penguin"] * (FACTORIES - served)
        ratios = []
        with _Remote(policies, worlds, days) as remote:
            for block in range(repeats):
                inside = _in_process(remote.seeds(block), policies, days)
                rate, substituted = remote.play(block)
                ratios.append(rate / inside)
                missed += substituted
        holds = not judged or statistics.median(ratios) >= target
        rows.append(
            Row(f"{name} as services: speed / in process", ratios, "", f">= {target}" if judged else "reported", holds)
        )
    return [*rows, Row("deadlines missed", [missed], "", "= 0", missed == 0)]


class _Remote:
    """An environment server with an agent service for each factory that is not played in the engine."""

    def __init__(self, policies: Sequence[str], worlds: int, days: int) -> None:
        self._worlds = worlds
        self._stack = ExitStack()
        seats = [list(policies[:4]), list(policies[4:])]
        config = {"days": days, "seats": seats, "shield": "none", "workers": CORES}
        self._environment = environment_pb2.EnvironmentSpec(
            name="scml", config_json=json.dumps(config), num_envs=worlds
        )
        self._agents = [f"factory_{i}" for i, policy in enumerate(policies) if policy == "service"]

    def __enter__(self) -> _Remote:
        services = [
            self._stack.enter_context(Service("agent_services", ["--policy", "scripted:haggler", "--policy-id", agent]))
            for agent in self._agents
        ]
        server = self._stack.enter_context(Service("env_server", []))
        self._stub = rollout_pb2_grpc.RolloutServiceStub(self._stack.enter_context(connect_blocking(server.address)))
        self._seats = [
            rollout_pb2.Seat(agent=agent, addresses=[service.address])
            for agent, service in zip(self._agents, services, strict=True)
        ]
        self.play(-1)  # starts the engine's processes and opens the streams
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def seeds(self, block: int) -> list[int]:
        """The worlds' own seeds, as the environment draws them."""
        start = Block(0, block + 1).environment_seed
        return [int(generator(start, copy).integers(2**31)) for copy in range(self._worlds)]

    def play(self, block: int) -> tuple[float, int]:
        """Play a block; worlds per hour, and decisions for which a default stood in."""
        request = rollout_pb2.CollectRequest(
            environment=self._environment, seats=self._seats, seed=0, first_block=block + 1, num_blocks=1,
            deadline_us=DEADLINE, fallback=rollout_pb2.FALLBACK_ENVIRONMENT_DEFAULT, retries=1,
        )  # fmt: skip
        began = time.perf_counter()
        *_, last = self._stub.Collect(request, timeout=600)
        return 3600 * self._worlds / (time.perf_counter() - began), last.summary.substituted_actions
