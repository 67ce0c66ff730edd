"""Same seed, same bytes: trajectories in one process, over the wire, and with one or three replicas of an agent."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent_services.policies import load
from agora.agents.policy import Policy, Source
from agora.v1 import environment_pb2
from bench.in_process import LocalMinds
from bench.processes import Service
from bench.report import Row
from bench.rollout_overhead import AGENTS
from env_server.environments import make
from env_server.environments.base import OutsourcedEnvironment
from env_server.rollout.moments import Moments
from env_server.rollout.runner import Block, play_block
from env_server.rollout.trajectory import Trajectory
from tests.support.models import price_model
from trainer.collector import Collector
from trainer.exploration import Explore
from trainer.segments import Segment
from trainer.spec import GameSpec

TITLE = "trajectories are bit-identical in process, over the wire, and with 1 or 3 replicas of an agent"
NOISE = 0.15
REPLICAS = 3
BLOCKS = (4, 5)
Policies = Sequence[Policy]


@dataclass(frozen=True)
class Game:
    """What is played.

    Attributes:
        name, config: of the environment.
        agents: their ids.
        sizes: numbers of copies.
        learned: whether the agents are ONNX policies that explore; others draw their actions at random.
    """

    name: str
    config: dict[str, Any]
    agents: tuple[str, ...]
    sizes: tuple[int, ...] = (1, 6)
    learned: bool = False

    def spec(self, num_envs: int) -> environment_pb2.EnvironmentSpec:
        """With so many copies."""
        config = json.dumps(self.config)
        return environment_pb2.EnvironmentSpec(name=self.name, config_json=config, num_envs=num_envs)


def _many(word: str, count: int) -> tuple[str, ...]:
    return tuple(f"{word}_{number}" for number in range(count))


GAMES = (
    Game("charging", {"episode_rounds": 5, "demand_noise": True}, tuple(AGENTS), (1, 6, 64, 130), learned=True),
    Game("matrix", {}, _many("player", 2)),
    Game("mpe:simple_spread", {"max_cycles": 5}, _many("agent", 3)),
    Game("market", {"makers": 1, "traders": 1, "steps": 20}, ("maker_0", "trader_0")),
    Game("scml", {"days": 3, "levels": 2, "factories": 2}, _many("factory", 4), (1, 3)),
    Game("pettingzoo:mpe2.simple_spread_v3?continuous_actions=true&max_cycles=5", {}, _many("agent", 3)),
    Game("pettingzoo:pettingzoo.classic.connect_four_v3", {}, _many("player", 2)),
)


def run(quick: bool) -> list[Row]:
    """Compare digests for several seeds and numbers of copies, on every kind of game."""
    return [row for game in GAMES for row in _rows(game, range(1 if quick else 10 if game.learned else 3))]


def _rows(game: Game, seeds: Sequence[int]) -> list[Row]:
    policies = _policies(game)
    ways = ("over the wire, 1 replica", f"over the wire, {REPLICAS} replicas", "in two processes")
    compared, same = dict.fromkeys(ways, 0), dict.fromkeys(ways, 0)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        replicas = _services(game, stack, folder)
        servers = [stack.enter_context(Service("env_server")) for _ in range(2)]
        first = {agent: addresses[:1] for agent, addresses in replicas.items()}
        used = ((servers[:1], first), (servers[:1], replicas), (servers, replicas))
        for seed in seeds:
            for num_envs in game.sizes:
                here = _digests_here(game, policies, seed, num_envs)
                for name, (some, seats) in zip(ways, used, strict=True):
                    there = asyncio.run(_digests_there(game, [s.address for s in some], seats, seed, num_envs))
                    compared[name] += len(here)
                    same[name] += sum(a == b for a, b in zip(here, there, strict=True))
    title = game.name.partition("?")[0]
    return [
        Row(f"{title}: identical blocks, {name}", [same[name] / compared[name]], "share", f"1 (of {compared[name]})",
            same[name] == compared[name])
        for name in ways
    ]  # fmt: skip


def _policies(game: Game) -> Policies:
    count = range(len(game.agents))
    if game.learned:
        return [load("onnx", Source(model=price_model(seed=i))) for i in count]
    return [load("scripted", Source(name="random")) for _ in count]


def _services(game: Game, stack: ExitStack, folder: Path) -> dict[str, list[str]]:
    """Addresses by agent; the second agent has replicas, and where nobody learns one service answers for the others."""
    started: dict[str, list[Service]] = {}
    for i, agent in enumerate(game.agents):
        flags = ["--policy", "scripted:random"]
        if game.learned:
            path = folder / f"{agent}.onnx"
            path.write_bytes(price_model(seed=i))
            flags = ["--policy-id", agent, "--model", str(path)]
        elif i > 1:
            started[agent] = started[game.agents[0]]
            continue
        started[agent] = [Service("agent_services", flags).start(wait=False) for _ in range(REPLICAS if i == 1 else 1)]
        for service in started[agent]:
            stack.callback(service.stop)
    for services in started.values():
        for service in services:
            service.wait()
    return {agent: [service.address for service in services] for agent, services in started.items()}


def _digests_here(game: Game, policies: Policies, seed: int, num_envs: int) -> list[str]:
    environment, copies = make(game.spec(num_envs)), np.arange(num_envs, dtype=np.uint32)
    noise = NOISE if game.learned else None
    found = []
    with ThreadPoolExecutor(1) as workers:
        for number in BLOCKS:
            block = Block(seed, number)
            minds = LocalMinds(environment, policies, block, copies, noise)
            found.append(_digest(asyncio.run(play_block(environment, copies, minds, block, workers))))
    if isinstance(environment, OutsourcedEnvironment):
        environment.close()
    return found


async def _digests_there(
    game: Game, servers: Sequence[str], seats: dict[str, list[str]], seed: int, num_envs: int
) -> list[str]:
    run = f"s{seed}-{num_envs}"
    collector = Collector(servers, seats, run=run, seed=seed, deadline=10, patience=10, log=False)
    spec: GameSpec = await collector.describe(game.name, json.dumps(game.config))
    explore = Explore(NOISE) if game.learned else None
    segments = await collector.collect(spec, BLOCKS, num_envs, {}, explore)
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
