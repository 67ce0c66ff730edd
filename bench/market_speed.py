"""How fast markets are: alone, with agents' seats written and read, and through services.

48 agents: the default crowd and two seats that do nothing, or 40 of the crowd and eight seats that act at random. One
thread, book-steps per CPU second; through services, per CPU second of the environment server.
"""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np
import psutil

from agora.channels import connect_blocking
from agora.v1 import environment_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.processes import Service
from bench.report import Row
from env_server.environments.market import Market, MarketConfig
from env_server.environments.market.config import CROWD
from env_server.environments.market.kernels import compiled
from env_server.environments.market.state import opened

TITLE = "markets are fast: book-steps per CPU second, alone, with seats, and through services"
WITHOUT = ("charging", "matrix", "mpe", "scml")

COPIES: Final = 64
SCRIPTED, SEATED, KEPT = 500_000.0, 250_000.0, 0.5
LEARNERS: Final = 8
REPEATS: Final = 5


def crowd_of(count: int) -> tuple[Any, ...]:
    """The default crowd, with so many traders; noise traders make room."""
    others = sum(crowd.count for crowd in CROWD[1:])
    return (CROWD[0].model_copy(update={"count": count - others}), *CROWD[1:])


def scripted(steps: int) -> float:
    """Book-steps per CPU second of 48 scripted traders and a seat that quotes nothing."""
    config = MarketConfig(makers=1, crowd=crowd_of(48), steps=steps)
    markets = opened(config, COPIES)
    markets["key"] = np.arange(COPIES)
    actions, rewards = np.full((COPIES, 1, 3), 7), np.zeros((COPIES, 1))
    actions[:, :, 2] = 0
    began = time.process_time()
    for _ in range(steps):
        compiled().advance(markets, actions, rewards)
    return COPIES * steps / (time.process_time() - began)


def seated(steps: int) -> float:
    """Book-steps per CPU second of the environment, with eight seats acting at random."""
    market = Market(seats(steps), COPIES)
    market.reset(1, np.arange(COPIES, dtype=np.uint32))
    draws = np.random.default_rng(0)
    drawn = [
        [{"": draws.integers(0, space.nvec, (COPIES, len(space.nvec)))} for space in _spaces(market)] for _ in range(50)
    ]
    began = time.process_time()
    for step in range(steps):
        market.step(drawn[step % len(drawn)])
    return COPIES * steps / (time.process_time() - began)


def seats(steps: int) -> MarketConfig:
    """A market of 48 agents with eight seats."""
    half = LEARNERS // 2
    return MarketConfig(makers=half, traders=half, crowd=crowd_of(48 - LEARNERS), steps=steps)


def _spaces(market: Market) -> list[Any]:
    return list(market.action_spaces.values())


def through_services(steps: int, blocks: int) -> float:
    """Book-steps per CPU second of the environment server, whose eight seats one agent service answers for."""
    config = seats(steps)
    agents = Market(config, 1).agents
    request = rollout_pb2.CollectRequest(
        run="bench",
        seed=1,
        num_blocks=blocks,
        deadline_us=10_000_000,
        outcomes_only=True,
        environment=environment_pb2.EnvironmentSpec(
            name="market", config_json=config.model_dump_json(), num_envs=COPIES
        ),
    )
    with Service("env_server") as server, Service("agent_services", ["--policy", "scripted:random"]) as mind:
        request.seats.extend(seat_pb2.Seat(agent=agent, addresses=[mind.address]) for agent in agents)
        with connect_blocking(server.address) as channel:
            stub, process = rollout_pb2_grpc.RolloutServiceStub(channel), psutil.Process(pid_of(server))
            list(stub.Collect(request))
            before = sum(process.cpu_times()[:2])
            list(stub.Collect(request))
            return COPIES * steps * blocks / (sum(process.cpu_times()[:2]) - before)


def pid_of(service: Service) -> int:
    """The process id of a service that runs.

    Raises:
        RuntimeError: it does not.
    """
    if service.process is None:
        raise RuntimeError("the service was not started")
    return service.process.pid


def run(quick: bool) -> list[Row]:
    """Time everything; ``quick`` over fewer steps."""
    steps, repeats = (500, 2) if quick else (5_000, REPEATS)
    scripted(10)
    seated(10)
    alone, agents = [scripted(steps) for _ in range(repeats)], [seated(steps) for _ in range(repeats)]
    served = [through_services(steps // 5, 1 if quick else 5) for _ in range(repeats)]
    kept = [there / here for there, here in zip(served, agents, strict=True)]
    return [
        _row("48 scripted traders", [value / 1e3 for value in alone], "k book-steps/CPU-s", SCRIPTED / 1e3),
        _row("eight seats written and read", [value / 1e3 for value in agents], "k book-steps/CPU-s", SEATED / 1e3),
        Row(
            "the same through services",
            [value / 1e3 for value in served],
            "k book-steps/CPU-s",
            "for information",
            True,
        ),
        _row("share of in-process that services keep", kept, "x", KEPT),
    ]


def _row(name: str, values: list[float], unit: str, target: float) -> Row:
    return Row(name, values, unit, f">= {target:g}", float(np.median(values)) >= target)
