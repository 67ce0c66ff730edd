"""Same seed, same bytes: trajectories in one process, over the wire, and with one or three replicas of an agent."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent_services.policies.onnx import OnnxPolicy, load
from agora.agents.policy import Source
from agora.v1 import environment_pb2
from bench.in_process import LocalMinds
from bench.processes import Service
from bench.report import Row
from bench.rollout_overhead import AGENTS
from env_server.environments import make
from env_server.rollout.moments import Moments
from env_server.rollout.runner import Block, play_block
from env_server.rollout.trajectory import Trajectory
from tests.support.models import price_model
from trainer.collector import Collector
from trainer.exploration import Explore
from trainer.segments import Segment
from trainer.spec import GameSpec

TITLE = "trajectories are bit-identical in process, over the wire, and with 1 or 3 replicas of an agent"
CONFIG = '{"episode_rounds": 5, "demand_noise": true}'
NOISE = 0.15
REPLICAS = 3
SIZES = (1, 6, 64, 130)
"""Copies."""


def run(quick: bool) -> list[Row]:
    """Compare digests for several seeds and numbers of copies."""
    seeds = range(1 if quick else 10)
    policies = [load(Source(model=price_model(seed=i))) for i in range(len(AGENTS))]
    compared = {
        "over the wire, 1 replica": 0,
        f"over the wire, {REPLICAS} replicas": 0,
        "in two processes, exploring": 0,
    }
    same = dict.fromkeys(compared, 0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        replicas = _services(stack, folder)
        servers = [stack.enter_context(Service("env_server", ["--log-directory", str(folder)])) for _ in range(2)]
        ways = (
            (servers[:1], {agent: addresses[:1] for agent, addresses in replicas.items()}),
            (servers[:1], replicas),
            (servers, replicas),
        )
        for seed in seeds:
            for num_envs in SIZES:
                here = [_digest_here(policies, seed, block, num_envs) for block in (4, 5)]
                for name, (used, seats) in zip(compared, ways, strict=True):
                    there = asyncio.run(_digests_there([s.address for s in used], seats, seed, num_envs))
                    compared[name] += len(here)
                    same[name] += sum(a == b for a, b in zip(here, there, strict=True))
    return [
        Row(f"identical blocks, {name}", [same[name] / compared[name]], "share", f"1 (of {compared[name]})",
            same[name] == compared[name])
        for name in compared
    ]  # fmt: skip


def _services(stack: ExitStack, folder: Path) -> dict[str, list[str]]:
    started: list[tuple[str, Service]] = []
    for i, agent in enumerate(AGENTS):
        path = folder / f"{agent}.onnx"
        path.write_bytes(price_model(seed=i))
        for _ in range(REPLICAS if i == 1 else 1):
            service = Service("agent_services", ["--policy-id", agent, "--model", str(path)]).start(wait=False)
            stack.callback(service.stop)
            started.append((agent, service))
    for _, service in started:
        service.wait()
    return {agent: [s.address for a, s in started if a == agent] for agent in AGENTS}


def _digest_here(policies: Sequence[OnnxPolicy], seed: int, number: int, num_envs: int) -> str:
    environment = make(environment_pb2.EnvironmentSpec(name="charging", config_json=CONFIG, num_envs=num_envs))
    block, copies = Block(seed, number), np.arange(num_envs, dtype=np.uint32)
    with ThreadPoolExecutor(1) as workers:
        trajectory = asyncio.run(
            play_block(environment, copies, LocalMinds(environment, policies, block, copies, NOISE), block, workers)
        )
    return _digest(trajectory)


async def _digests_there(servers: Sequence[str], seats: dict[str, list[str]], seed: int, num_envs: int) -> list[str]:
    collector = Collector(servers, seats, run=f"s{seed}-{num_envs}", seed=seed, deadline=10, patience=10)
    spec: GameSpec = await collector.describe("charging", CONFIG)
    segments = await collector.collect(spec, [4, 5], num_envs, {}, Explore(NOISE))
    await collector.close()
    return [_digest(segment) for segment in segments]


def _digest(played: Trajectory | Segment) -> str:
    """sha256 over everything that happened: state, and per agent what it saw, did and earned."""
    digest = hashlib.sha256()

    def add(values: NDArray[Any] | Moments) -> None:
        array = values.array if isinstance(values, Moments) else values
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())

    for path in sorted(played.state):
        add(played.state[path])
    for agent in played.agents:
        for leaves in (agent.observation, agent.action):
            for path in sorted(leaves):
                add(leaves[path])
        for array in (agent.log_prob, agent.reward, agent.terminated, agent.truncated, agent.acted):
            add(array)
    return digest.hexdigest()
