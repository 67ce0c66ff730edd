"""What services cost: the same rollout in one process and as services, and a step against a bare ping-pong."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import uvloop
from numpy.typing import NDArray

from agent_services.policies.onnx import OnnxPolicy, load
from agora.agents.policy import Source
from agora.channels import connect_blocking
from agora.lobby import Lobby
from agora.v1 import agent_pb2, environment_pb2, policy_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.in_process import LocalMinds
from bench.ping import AioPings, Pings
from bench.processes import Service
from bench.report import Row
from env_server.environments import make
from env_server.environments.base import Environment
from env_server.rollout.collect import CAPABILITIES
from env_server.rollout.decisions import agent_specs, ports_for
from env_server.rollout.frame import Frame, FramePart
from env_server.rollout.link import AgentLink
from env_server.rollout.minds import RemoteMinds
from env_server.rollout.runner import Block, Minds, awaited_rows, executed
from env_server.rollout.trajectory import Recorder, Trajectory
from tests.support.models import price_model

TITLE = "rollouts through services against the same rollout in one process, and a step against a bare ping-pong"
WITHOUT = ("market", "matrix", "mpe", "scml")
ROUNDS = 50
NOISE = 0.1
SEED = 11
AGENTS = tuple(f"station_{i}" for i in range(4))
Seats = dict[str, str]
STEP_TARGET = 1.25
INFORMATION = "for information"


@contextmanager
def onnx_services() -> Iterator[tuple[Seats, list[OnnxPolicy]]]:
    """Four services with an ONNX policy each, and the same policies here."""
    models = [price_model(seed=i) for i in range(len(AGENTS))]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{agent}.onnx" for agent in AGENTS]
        for path, model in zip(paths, models, strict=True):
            path.write_bytes(model)
        with started([["--model", str(path)] for path in paths]) as seats:
            yield seats, [load(Source(model=model)) for model in models]


@contextmanager
def started(arguments: Sequence[Sequence[str]]) -> Iterator[Seats]:
    """An agent service for each agent, with further arguments."""
    with ExitStack() as stack:
        services = {}
        for agent, more in zip(AGENTS, arguments, strict=True):
            services[agent] = Service("agent_services", ["--policy-id", agent, *more]).start(wait=False)
            stack.callback(services[agent].stop)
        for service in services.values():
            service.wait()
        yield {agent: service.address for agent, service in services.items()}


def game(num_envs: int) -> environment_pb2.EnvironmentSpec:
    """The default game with long episodes."""
    config = f'{{"episode_rounds": {ROUNDS}}}'
    return environment_pb2.EnvironmentSpec(name="charging", config_json=config, num_envs=num_envs)


async def play_here(environment: Environment, minds: Minds, block: Block) -> Trajectory:
    """The rollout loop without threads or frames."""
    copies = np.arange(environment.num_envs, dtype=np.uint32)
    step = environment.reset(block.environment_seed, copies)
    recorder = Recorder(block.number, copies, before=[step])
    for number in range(ROUNDS):
        rows = awaited_rows(step)
        answers = await minds.decide(number, step, rows)
        decisions = executed(environment, block, recorder, answers, rows)
        step = environment.step([d.action for d in decisions])
        recorder.decisions.append(decisions)
        recorder.before.append(step)
    return recorder.finish()


async def _blocks_here(
    environment: Environment, policies: list[OnnxPolicy], copies: NDArray[np.uint32], blocks: int
) -> None:
    """Returns nothing: asyncio.run writes out its result for an error message that is never shown."""
    for number in range(blocks):
        block = Block(SEED, number)
        await play_here(environment, LocalMinds(environment, policies, block, copies, NOISE), block)


class Remote:
    """Collects through an environment server in a process of its own."""

    def __init__(self, address: str, seats: Seats) -> None:
        self._channel = connect_blocking(address)
        self._seats = [seat_pb2.Seat(agent=a, addresses=[s]) for a, s in seats.items()]

    def steps_per_second(self, num_envs: int, blocks: int, log: bool) -> float:
        """Throughput of one collection, its start and its transfer included."""
        request = rollout_pb2.CollectRequest(
            run="bench", environment=game(num_envs), seats=self._seats, seed=SEED, num_blocks=blocks,
            exploration=rollout_pb2.CollectExploration(noise_scale=NOISE), deadline_us=10_000_000, log=log,
        )  # fmt: skip
        start = time.perf_counter()
        steps = 0
        for item in rollout_pb2_grpc.RolloutServiceStub(self._channel).Collect(request):
            steps += item.segment.steps * item.segment.num_envs
        return steps / (time.perf_counter() - start)


def throughput(
    seats: Seats, policies: list[OnnxPolicy], num_envs: int, repeats: int
) -> list[tuple[float, float, float]]:
    """Pairs measured in turn: steps per second in process, through services, and through services with the log."""
    environment = make(game(num_envs))
    copies = np.arange(num_envs, dtype=np.uint32)
    blocks = max(2, 256 // num_envs)
    found = []
    with tempfile.TemporaryDirectory() as folder, Service("env_server", ["--log-directory", folder]) as server:
        remote = Remote(server.address, seats)
        for repeat in range(repeats + 1):
            start = time.perf_counter()
            asyncio.run(_blocks_here(environment, policies, copies, blocks))
            here = blocks * ROUNDS * num_envs / (time.perf_counter() - start)
            there, logged = (remote.steps_per_second(num_envs, blocks, log) for log in (False, True))
            if repeat:
                found.append((here, there, logged))
    return found


async def step_seconds(seats: Seats, num_envs: int, repeats: int) -> list[tuple[float, float, float]]:
    """Medians measured in turn: a full step's decisions, a bare synchronous ping-pong, a bare one on asyncio."""
    environment = make(game(num_envs))
    copies = np.arange(num_envs, dtype=np.uint32)
    step = environment.reset(SEED, copies)
    references = {agent: policy_pb2.PolicyReference(policy_id=agent) for agent in AGENTS}
    specs = agent_specs(environment, references)
    hellos = [agent_pb2.AgentHello(protocol_versions=[1], capabilities=CAPABILITIES, agents=[spec]) for spec in specs]
    links = [AgentLink([seats[spec.id]], hello, Lobby({})) for spec, hello in zip(specs, hellos, strict=True)]
    explore = rollout_pb2.CollectExploration(noise_scale=NOISE)
    ports = ports_for(environment, references, explore, copies)
    for link in links:
        await link.open(10.0)
    minds = RemoteMinds(links, ports, copies, 0, 10.0)
    rows = awaited_rows(step)
    frame = Frame([FramePart(ports[0], copies, rows[0])], 0)
    frame.add(frame.parts[0].write(frame.begin(0), step, None, None))
    sent, reply = bytes(len(frame.encode(10_000_000))), num_envs * (8 * 4 + 4) + 64
    found = []
    with ExitStack() as stack:
        peers = [[Service("bench.ping", ["--reply", str(reply), *flag]) for _ in AGENTS] for flag in ([], ["--aio"])]
        for service in (*peers[0], *peers[1]):
            stack.enter_context(service)
        bare, bare_aio = Pings([s.address for s in peers[0]]), AioPings([s.address for s in peers[1]])
        times = 150
        for repeat in range(repeats + 1):
            full = []
            for number in range(times):
                start = time.perf_counter()
                await minds.decide(number, step, rows)
                full.append(time.perf_counter() - start)
            pair = (bare.seconds(sent, times), await bare_aio.seconds(sent, times))
            if repeat:
                found.append((statistics.median(full), statistics.median(pair[0]), statistics.median(pair[1])))
        bare.close()
        await bare_aio.close()
        for link in links:
            await link.close()
    return found


def run(quick: bool) -> list[Row]:
    """Measure."""
    repeats = 3 if quick else 9
    rows = []
    with onnx_services() as (seats, policies), started([["--policy", "scripted:fixed_price"]] * 4) as plain:
        for num_envs, target in ((64, 0.8), (256, 0.9)):
            found = throughput(seats, policies, num_envs, repeats)
            thinking = uvloop.run(step_seconds(seats, num_envs, repeats))
            bare = uvloop.run(step_seconds(plain, num_envs, repeats))
            rows += _throughput_rows(num_envs, target, found, statistics.median(aio for _, _, aio in bare))
            rows += _step_rows(num_envs, thinking, bare)
    return rows


def _throughput_rows(
    num_envs: int, target: float, found: Sequence[tuple[float, float, float]], ping: float
) -> list[Row]:
    """Ratios, and what they could be at most on one core: a bare ping-pong added to every step in process."""
    ratios = [there / here for here, there, _ in found]
    steps = [num_envs / here for here, _, _ in found]
    name = f"{num_envs} copies"
    return [
        Row(f"services / in process, {name}", ratios, "x", f">= {target}", statistics.median(ratios) >= target),
        Row(f"the same with a bare ping-pong, {name}", [s / (s + ping) for s in steps], "x", INFORMATION, True),
        Row(f"with log / without, {name}", [log / there for _, there, log in found], "x", INFORMATION, True),
        Row(f"a step in process, {name}", [1e3 * s for s in steps], "ms", INFORMATION, True),
        Row(f"services, {name}", [there for _, there, _ in found], "steps/s", INFORMATION, True),
    ]


Costs = Sequence[tuple[float, float, float]]


def _step_rows(num_envs: int, thinking: Costs, plain: Costs) -> list[Row]:
    """A step's frames and answers against bare ping-pongs, which decide nothing: so does a fixed price."""
    ratios = [full / sync for full, sync, _ in plain]
    name = f"{num_envs} copies"
    held = statistics.median(ratios) <= STEP_TARGET
    onnx = [full / sync for full, sync, _ in thinking]
    return [
        Row(f"step, fixed prices / bare grpcio ping-pong, {name}", ratios, "x", f"<= {STEP_TARGET}", held),
        Row(f"step, ONNX and noise / bare grpcio ping-pong, {name}", onnx, "x", INFORMATION, True),
        Row(
            f"step, fixed prices / bare grpc.aio ping-pong, {name}",
            [f / a for f, _, a in plain],
            "x",
            INFORMATION,
            True,
        ),
        Row(f"step, fixed prices, {name}", [1e3 * f for f, _, _ in plain], "ms", INFORMATION, True),
        Row(f"step, ONNX and noise, {name}", [1e3 * f for f, _, _ in thinking], "ms", INFORMATION, True),
    ]
