"""Services against what people use now, on the same game: four agents, 256 copies, one machine, one run.

Each peer steps the game of ``bench.peer_rules`` as its own users do: dm_env_rpc's and OpenEnv's servers and clients,
the four agents' rows in one message; agents as Ray actors, whichever of one actor or four is faster; and a loop over
PettingZoo environments in one process. Ours is ``Rollout.Collect``: an environment server, an agent service in a
process of its own. As the peers, which keep nothing, it sends its caller what was earned (``outcomes_only``); the
figure with every trajectory streamed to the caller stands beside it.
``make peers PEERS="openenv ray"`` builds what they need.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import grpc

from agora.channels import connect_blocking
from agora.v1 import environment_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.asked import ROOT, Asked
from bench.peer_game import AGENTS, GAME
from bench.processes import Service, free_address, wait_listening
from bench.report import Row

TITLE = "services at 256 copies of a four-agent game, against dm_env_rpc, OpenEnv, Ray actors and a PettingZoo loop"
ALSO = ("bench/peers/openenv.txt", "bench/peers/ray.txt")
WITHOUT = ("charging", "market", "matrix", "mpe", "scml")
COPIES, STEPS = 256, 100
TARGETS = {"dm_env_rpc": 10.0, "OpenEnv": 150.0, "Ray actors": 4.0, "a PettingZoo loop in one process": 15.0}
INFORMATION = "for information"
WHOLE = "ours, with whole trajectories"
Measure = Callable[[float], float]


class Absent(RuntimeError):
    """A peer's software is not on this machine."""


def python(peer: str) -> Path:
    """A peer's interpreter.

    Raises:
        Absent: its environment was not built.
    """
    path = ROOT / ".peers" / peer / "bin" / "python"
    if not path.exists():
        raise Absent(f'not there; make peers PEERS="{peer}" builds it')
    return path


def ours(stack: ExitStack) -> tuple[Measure, Measure]:
    """Collections through an environment server and one agent service: of outcomes, and of whole trajectories."""
    server = stack.enter_context(Service("env_server", ["--game", GAME]))
    mind = stack.enter_context(Service("bench.peer_game"))
    channel = stack.enter_context(connect_blocking(server.address))
    return _collecting(channel, mind.address, outcomes_only=True), _collecting(channel, mind.address)


def _collecting(channel: grpc.Channel, mind: str, *, outcomes_only: bool = False) -> Measure:
    config = json.dumps({"episode_steps": STEPS})
    request = rollout_pb2.CollectRequest(
        run="bench", seed=1, num_blocks=20, deadline_us=10_000_000, outcomes_only=outcomes_only,
        environment=environment_pb2.EnvironmentSpec(name="peer_game", config_json=config, num_envs=COPIES),
        seats=[seat_pb2.Seat(agent=agent, addresses=[mind]) for agent in AGENTS],
    )  # fmt: skip

    def measure(seconds: float) -> float:
        began, steps = time.perf_counter(), 0
        while time.perf_counter() < began + seconds:
            for item in rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request):
                steps += item.segment.steps * item.segment.num_envs
        return steps / (time.perf_counter() - began)

    return measure


def dm_env_rpc(stack: ExitStack) -> Measure:
    """The library's server and its client, the rows of all agents in one tensor."""
    rows = str(len(AGENTS) * COPIES)
    server = stack.enter_context(Service("bench.dm_env_rpc_peer", ["--copies", rows]))
    arguments = [server.address, "--copies", rows]
    client = stack.enter_context(Asked("bench.dm_env_rpc_client", arguments, greeting="joined"))
    return lambda seconds: client.ask(seconds) * COPIES / seconds


def openenv(stack: ExitStack) -> Measure:
    """The library's server and its client, over its WebSocket."""
    port = free_address().rpartition(":")[2]
    arguments = [str(COPIES), port]
    interpreter = python("openenv")
    command = [str(interpreter), "-m", "bench.peer_programs.openenv_server", *arguments]
    server = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(server.wait)
    stack.callback(server.kill)
    wait_listening(f"127.0.0.1:{port}")
    return stack.enter_context(Asked("bench.peer_programs.openenv_client", arguments, interpreter)).ask


def ray_actors(stack: ExitStack) -> Measure:
    """The faster of one actor for all agents, and an actor for each."""
    few, many = (
        stack.enter_context(Asked("bench.peer_programs.ray_actors", [str(COPIES), actors], python("ray")))
        for actors in ("1", "4")
    )
    return lambda seconds: max(few.ask(seconds), many.ask(seconds))


def pettingzoo_loop(stack: ExitStack) -> Measure:
    """A ParallelEnv for every copy, in one process."""
    return stack.enter_context(Asked("bench.peer_programs.pettingzoo_loop", [str(COPIES)])).ask


MAKERS: dict[str, Callable[[ExitStack], Measure]] = dict(
    zip(TARGETS, (dm_env_rpc, openenv, ray_actors, pettingzoo_loop), strict=True)
)


def run(quick: bool) -> list[Row]:
    """Measure in turn, each peer that is there."""
    repeats, seconds = (2, 1.0) if quick else (7, 3.0)
    absent: dict[str, str] = {}
    with ExitStack() as stack:
        mine, whole = ours(stack)
        measures = {"ours": mine, WHOLE: whole}
        for name, make in MAKERS.items():
            try:
                measures[name] = make(stack)
            except Absent as error:
                absent[name] = str(error)
        found = [{name: measure(seconds) for name, measure in measures.items()} for _ in range(repeats + 1)][1:]
    rows = []
    for name, target in TARGETS.items():
        if name in absent:
            rows.append(Row.missing(f"ours / {name}", f">= {target:g}", absent[name]))
            continue
        ratios = [taken["ours"] / taken[name] for taken in found]
        held = statistics.median(ratios) >= target
        rows.append(Row(f"ours / {name}", ratios, "x", f">= {target:g}", held))
    rows += [Row(name, [taken[name] for taken in found], "steps/s", INFORMATION, True) for name in measures]
    return rows
