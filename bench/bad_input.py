"""Bad input is answered in words: field, what was expected, what came; and the process goes on answering."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
from numpy.typing import NDArray

from agora.channels import connect
from agora.codec import to_tensor
from agora.errors import Refused, explain
from agora.spaces import to_proto
from agora.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    environment_pb2,
    environment_pb2_grpc,
    policy_pb2,
    policy_registry_pb2,
    policy_registry_pb2_grpc,
    rollout_pb2,
    rollout_pb2_grpc,
    seat_pb2,
)
from bench.processes import ROOT, Service
from bench.report import Row
from tests.support.models import action_space, observation_space, price_model

TITLE = "bad input is refused by field, expectation and what came, and the process lives on"
Outcome = tuple[bool, bool]
"""Refused in words; and a good request right after it was answered."""
PRICES = np.full((2, 4, 8), 0.5, np.float32)
FLOWS = np.full((2, 8), 0.5, np.float32)
ACTIONS = np.full((2, 8), 0.5, np.float32)
GAME = environment_pb2.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 4}', num_envs=2)


def _with(array: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    changed = array.copy()
    changed.flat[3] = value
    return changed


BAD_ARRAYS: tuple[tuple[str, Callable[[NDArray[np.float32]], NDArray[np.generic]]], ...] = (
    ("shape", lambda a: a[..., :-1]),
    ("rows", lambda a: a[:1]),
    ("dtype", lambda a: a.astype(np.float64)),
    ("NaN", lambda a: _with(a, np.nan)),
    ("infinity", lambda a: _with(a, np.inf)),
    ("above the bounds", lambda a: _with(a, 99.0)),
    ("below the bounds", lambda a: _with(a, -0.5)),
)


def _told(refused: Refused | None) -> bool:
    return refused is not None and all((refused.field, refused.expected, refused.got))


async def _refusal(call: Awaitable[object]) -> Refused | None:
    try:
        await call
    except grpc.RpcError as error:
        found = explain(error, "service")
        return found if isinstance(found, Refused) else None
    return None


def _observations(
    index: int = 0, prices: NDArray[np.generic] = PRICES, flows: NDArray[np.generic] = FLOWS
) -> agent_pb2.Observations:
    copies = np.arange(2, dtype=np.uint32).tobytes()
    return agent_pb2.Observations(index=index, copies=copies, observation=[to_tensor(prices), to_tensor(flows)])


async def agent_frames(address: str) -> list[Outcome]:
    """Wrong frames on a live stream, each followed by a good one."""
    spec = agent_pb2.AgentSpec(
        index=0, id="station_0", observation_space=to_proto(observation_space()), action_space=to_proto(action_space())
    )
    bad = [_observations(prices=change(PRICES)) for _, change in BAD_ARRAYS]
    bad += [_observations(flows=change(FLOWS)) for _, change in BAD_ARRAYS]
    bad.append(_observations(index=7))
    unknown = _observations()
    unknown.policy.policy_id = "ghost"
    odd = _observations()
    odd.copies = b"123"
    bad += [unknown, odd]
    outcomes = []
    async with connect(address) as channel:
        call = agent_pb2_grpc.AgentServiceStub(channel).Act()
        await call.write(agent_pb2.ActRequest(hello=agent_pb2.AgentHello(protocol_versions=[1], agents=[spec])))
        await call.read()
        for number, part in enumerate((p for wrong in bad for p in (wrong, _observations())), start=1):
            frame = agent_pb2.DecisionsRequest(sequence=number, agents=[part])
            await call.write(agent_pb2.ActRequest(decisions=frame))
            answer = await call.read()
            assert isinstance(answer, agent_pb2.ActResponse)
            if number % 2:
                refusal = answer.refusal.refusal if answer.WhichOneof("kind") == "refusal" else None
                told = _told(Refused.from_proto(refusal) if refusal else None)
            else:
                outcomes.append((told, answer.WhichOneof("kind") == "decisions"))
        call.cancel()
    return outcomes


async def environment_calls(address: str) -> list[Outcome]:
    """Wrong payoff evaluations, descriptions and steps, each followed by a good one."""
    outcomes = []
    async with connect(address) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        good = environment_pb2.EvaluatePayoffRequest(environment=GAME, actions=to_tensor(np.full((2, 4, 8), 0.5)))
        requests = [
            environment_pb2.EvaluatePayoffRequest(environment=GAME, actions=to_tensor(actions))
            for actions in (PRICES, np.zeros((2, 4, 7)), np.full((1, 4, 8), np.nan), np.full((1, 4, 8), 2.0))
        ]
        for name, config in (
            ("chess", "{}"),
            ("charging", "{"),
            ("charging", '{"theta": "much"}'),
            ("charging", '{"tetha": 1}'),
        ):
            spec = environment_pb2.EnvironmentSpec(name=name, config_json=config, num_envs=1)
            requests.append(environment_pb2.EvaluatePayoffRequest(environment=spec, actions=good.actions))
        for request in requests:
            told = _told(await _refusal(stub.EvaluatePayoff(request)))
            outcomes.append((told, await _refusal(stub.EvaluatePayoff(good)) is None))
        outcomes += await _steps(stub)
    return outcomes


async def _steps(stub: environment_pb2_grpc.EnvironmentServiceAsyncStub) -> list[Outcome]:
    def step(array: NDArray[np.generic], agents: int = 4) -> environment_pb2.ConnectRequest:
        parts = [environment_pb2.StepEnvironment.AgentActions(action=[to_tensor(array)]) for _ in range(agents)]
        return environment_pb2.ConnectRequest(step=environment_pb2.StepEnvironment(agents=parts))

    reset = environment_pb2.ConnectRequest(reset=environment_pb2.ResetEnvironment(seed=1))
    call = stub.Connect()
    opening = environment_pb2.OpenEnvironment(environment=GAME, protocol_versions=[1])
    await call.write(environment_pb2.ConnectRequest(open=opening))
    await call.read()
    outcomes = []
    for wrong in [step(change(ACTIONS)) for _, change in BAD_ARRAYS] + [step(ACTIONS, agents=3)]:
        answers = []
        for request in (reset, wrong, step(ACTIONS)):
            await call.write(request)
            answers.append(await call.read())
        refusal, after = answers[1], answers[2]
        assert isinstance(refusal, environment_pb2.ConnectResponse) and isinstance(
            after, environment_pb2.ConnectResponse
        )
        told = refusal.WhichOneof("kind") == "refusal" and _told(Refused.from_proto(refusal.refusal))
        outcomes.append((told, after.WhichOneof("kind") == "transition"))
    call.cancel()
    return outcomes


async def collections(server: str, agent: str) -> list[Outcome]:
    """Wrong collections, each followed by a good one."""
    seats = [seat_pb2.Seat(agent=f"station_{i}", addresses=[agent]) for i in range(4)]
    good = rollout_pb2.CollectRequest(run="r", environment=GAME, seats=seats, num_blocks=1, deadline_us=5_000_000)

    def but(**changes: object) -> rollout_pb2.CollectRequest:
        request = rollout_pb2.CollectRequest()
        request.CopyFrom(good)
        for name, value in changes.items():
            if isinstance(value, int | str | bool):
                setattr(request, name, value)
            else:
                request.ClearField(name)  # type: ignore[arg-type]
                request.MergeFrom(rollout_pb2.CollectRequest(**{name: value}))  # type: ignore[arg-type]
        return request

    unknown = environment_pb2.EnvironmentSpec(name="chess", num_envs=1)
    none = environment_pb2.EnvironmentSpec(name="charging", num_envs=0)
    requests = [
        but(environment=unknown), but(environment=none), but(num_blocks=0), but(deadline_us=0), but(seats=seats[:3]),
        but(seats=[*seats, seat_pb2.Seat(agent="ghost", addresses=[agent])]), but(run="../x", log=True),
        but(exploration=rollout_pb2.CollectExploration(noise_scale=float("nan"))),
        but(exploration=rollout_pb2.CollectExploration(noise_scale=-1.0)),
    ]  # fmt: skip
    outcomes = []
    async with connect(server) as channel:
        stub = rollout_pb2_grpc.RolloutServiceStub(channel)

        async def collect(request: rollout_pb2.CollectRequest) -> None:
            async for _ in stub.Collect(request):
                pass

        for request in requests:
            told = _told(await _refusal(collect(request)))
            outcomes.append((told, await _refusal(collect(good)) is None))
    return outcomes


async def publications(address: str) -> list[Outcome]:
    """Wrong versions, each followed by a good one."""
    model = price_model()

    def manifest(step: int, policy_id: str = "p", sha256: str | None = None) -> policy_registry_pb2.PublishRequest:
        spec = policy_pb2.PolicySpec(
            observation_space=to_proto(observation_space()), action_space=to_proto(action_space())
        )
        told = policy_registry_pb2.PolicyManifest(
            policy_id=policy_id, version=policy_pb2.PolicyVersion(epoch=1, step=step), spec=spec,
            sha256=hashlib.sha256(model).hexdigest() if sha256 is None else sha256,
        )  # fmt: skip
        return policy_registry_pb2.PublishRequest(manifest=told, model=model)

    bare = manifest(50)
    bare.manifest.ClearField("spec")
    changed = manifest(1)
    changed.model = price_model(seed=9)
    changed.manifest.sha256 = hashlib.sha256(changed.model).hexdigest()
    wrong = [manifest(50, policy_id="../p"), manifest(50, sha256="00"), bare, changed]
    outcomes = []
    async with connect(address) as channel:
        stub = policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel)
        await stub.Publish(manifest(1))
        for number, request in enumerate(wrong, start=2):
            told = _told(await _refusal(stub.Publish(request)))
            outcomes.append((told, await _refusal(stub.Publish(manifest(number))) is None))
    return outcomes


def experiments(folder: Path) -> list[Outcome]:
    """Malformed experiment files: exit code 2 and a line that names file, field, expectation and what came."""
    cases = (
        ("training: {num_envs: many}", "training.num_envs", "many"),
        ("training: {algoritm: maddpg}", "training.algoritm", "algorithm"),
        ("training: {epsilon: -1}", "training.epsilon", "-1"),
        ("environment: {name: charging, config: {theta: much}}", "theta", "much"),
        ("environment: {name: chess}", "chess", "charging"),
        ("seed: [1]", "seed", "[1]"),
    )
    outcomes = []
    for number, (text, *words) in enumerate(cases):
        path = folder / f"bad-{number}.yaml"
        path.write_text(f"name: bad\n{text}\n")
        command = [sys.executable, "-m", "deploy.cli", "run", str(path), "--runs-dir", str(folder / "runs")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        said = done.stdout + done.stderr
        outcomes.append((done.returncode == 2 and all(word in said for word in words), True))
    return outcomes


@contextmanager
def services(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Addresses of an environment server, an agent service and a registry."""
    model = folder / "model.onnx"
    model.write_bytes(price_model())
    with (
        Service("env_server", ["--log-directory", str(folder)]) as server,
        Service("agent_services", ["--model", str(model)]) as agent,
        Service("trainer.registry", ["--directory", str(folder / "policies")]) as registry,
    ):
        yield server.address, agent.address, registry.address


def run(quick: bool) -> list[Row]:
    """Send everything once; quick is the same."""

    async def all_calls(server: str, agent: str, registry: str) -> dict[str, list[Outcome]]:
        return {
            "frames to an agent service": await agent_frames(agent),
            "steps, payoffs and games of an environment server": await environment_calls(server),
            "collections": await collections(server, agent),
            "versions for the registry": await publications(registry),
        }

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with services(folder) as addresses:
            found = asyncio.run(all_calls(*addresses))
        found["experiment files"] = experiments(folder)
    rows = []
    for where, outcomes in found.items():
        told, alive = [float(t) for t, _ in outcomes], [float(a) for _, a in outcomes]
        rows.append(Row(f"{where}: refused in words", told, "share", f"1 (of {len(told)})", all(told)))
        if where != "experiment files":
            rows.append(Row(f"{where}: the next good one is answered", alive, "share", "1", all(alive)))
    return rows
