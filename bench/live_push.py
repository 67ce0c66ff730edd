"""Versions pushed into a running agent service while it answers frames as fast as they are asked.

A real registry and a real agent service; one policy acts for four agents. The model of version k answers k/512 in the
first half of an action and 1 - k/512 in the second, from two different weights, so that every answer tells which
version made it and whether that version was whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc.aio
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agora.channels import connect
from agora.codec import from_tensor, to_tensor
from agora.spaces import to_proto
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, policy_pb2, policy_registry_pb2 as registry_pb2
from bench.processes import Service
from bench.report import Row
from trainer.registry.client import RegistryClient

TITLE = "live push: new versions swapped in between two frames"
WITHOUT = ("market",)

POLICY, AGENTS, ROWS, PERIODS = "shared", 4, 64, 8
CORRUPTED_EVERY = 20
"""One publication in so many is corrupted: 5 %."""
SECONDS = 20.0
"""How long a version may take to be served or refused."""
OBSERVATION = spaces.Dict(
    {
        "last_round_all_prices": spaces.Box(0.0, 1.0, (AGENTS, PERIODS), np.float32),
        "own_charging_flow": spaces.Box(0.0, 1.0, (PERIODS,), np.float32),
    }
)
ACTION = spaces.Box(0.0, 1.0, (PERIODS,), np.float32)


def expected_action(step: int) -> NDArray[np.float32]:
    """What version ``step`` answers in every row: exact in float32."""
    share = np.float32(step / 512)
    return np.repeat(np.array([share, 1 - share], np.float32), PERIODS // 2)


def make_model(step: int, poison: float = 0.0) -> bytes:
    """A charging actor 40-64-64-8 whose last layer only knows its version."""
    rng = np.random.default_rng(step)
    halves = expected_action(step).reshape(2, -1) + np.float32(poison)
    weights: dict[str, NDArray[Any]] = {"low": halves[0], "high": halves[1]}
    nodes = [
        helper.make_node("Flatten", ["last_round_all_prices"], ["flat"], axis=1),
        helper.make_node("Concat", ["flat", "own_charging_flow"], ["x0"], axis=1),
    ]
    for i, (seen, width) in enumerate(((40, 64), (64, 64))):
        weights[f"w{i}"] = rng.normal(size=(seen, width)).astype(np.float32)
        nodes.append(helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"h{i}"]))
        nodes.append(helper.make_node("Relu", [f"h{i}"], [f"x{i + 1}"]))
    for half in ("low", "high"):
        weights[f"{half}.w"] = np.zeros((64, PERIODS // 2), np.float32)
        nodes.append(helper.make_node("Gemm", ["x2", f"{half}.w", half], [f"{half}.out"]))
    nodes.append(helper.make_node("Concat", ["low.out", "high.out"], ["mean"], axis=1))
    shapes: dict[str, list[str | int | None]] = {
        "last_round_all_prices": ["B", AGENTS, PERIODS],
        "own_charging_flow": ["B", PERIODS],
    }
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    output = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["B", PERIODS])
    tensors = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    graph = helper.make_graph(nodes, "policy", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def corrupt(step: int) -> bytes:
    """A model that must not act: not finite, cut short, without sense, or with an operator that is not allowed."""
    match step // CORRUPTED_EVERY % 4:
        case 0:
            return make_model(step, poison=float("nan"))
        case 1:
            return make_model(step)[:-500]
        case 2:
            return np.random.default_rng(step).bytes(5_000)
    return make_model(step).replace(b"Relu", b"Loop")


@dataclass
class Outcome:
    """What happened.

    Attributes:
        old_after_ack: per version, how many frames sent after its ack were still answered by an older one.
        ack_ms: per version, from publishing to its ack.
        refused: corrupted versions that were refused with a reason.
    """

    frames: int = 0
    failed: int = 0
    torn: int = 0
    backwards: int = 0
    newest: int = 0
    acked: int = 0
    old_after_ack: dict[int, int] = field(default_factory=dict)
    ack_ms: list[float] = field(default_factory=list)
    frame_ms: list[float] = field(default_factory=list)
    refused: int = 0

    def judge(self, answer: pb.Decisions, acked: int) -> None:
        """Hold an answer against what its version must say.

        Args:
            answer: of one frame.
            acked: the newest version that was acknowledged before the frame was sent.
        """
        steps = {actions.version.step for actions in answer.agents}
        step = max(steps, default=0)
        whole = all((from_tensor(a.action[0]) == expected_action(step)).all() for a in answer.agents)
        self.torn += len(steps) != 1 or len(answer.agents) != AGENTS or not whole
        self.backwards += step < self.newest
        self.newest = max(self.newest, step)
        if step < acked:
            self.old_after_ack[acked] = self.old_after_ack.get(acked, 0) + 1


def _hello() -> pb.AgentHello:
    hello = pb.AgentHello(protocol_versions=[1])
    for i in range(AGENTS):
        spec = hello.agents.add(index=i, id=f"station_{i}", policy=policy_pb2.PolicyReference(policy_id=POLICY))
        spec.observation_space.CopyFrom(to_proto(OBSERVATION))
        spec.action_space.CopyFrom(to_proto(ACTION))
    return hello


def _frame() -> pb.DecisionsRequest:
    rng = np.random.default_rng(0)
    frame = pb.DecisionsRequest(deadline_us=5_000_000)
    for i in range(AGENTS):
        rows = frame.agents.add(index=i, copies=np.arange(ROWS, dtype="<u4").tobytes())
        for space in OBSERVATION.spaces.values():
            rows.observation.append(to_tensor(rng.random((ROWS, *(space.shape or ())), dtype=np.float32)))
    return frame


async def _stream_frames(address: str, outcome: Outcome, stop: asyncio.Event) -> None:
    frame = _frame()
    async with connect(address) as channel:
        call = agent_pb2_grpc.AgentServiceStub(channel).Act()
        await call.write(pb.ActRequest(hello=_hello()))
        await call.read()
        while not stop.is_set():
            frame.sequence += 1
            acked, start = outcome.acked, time.perf_counter()
            outcome.frames += 1
            try:
                await call.write(pb.ActRequest(decisions=frame))
                answer = await call.read()
            except grpc.aio.AioRpcError:
                answer = grpc.aio.EOF
            outcome.frame_ms.append(1e3 * (time.perf_counter() - start))
            if not isinstance(answer, pb.ActResponse):
                outcome.failed += 1
                return
            if answer.decisions.sequence == frame.sequence:
                outcome.judge(answer.decisions, acked)
            else:
                outcome.failed += 1
        call.cancel()


async def _push(registry: RegistryClient, step: int, outcome: Outcome) -> None:
    """Publish a version and wait until the service said what became of it."""
    corrupted = step % CORRUPTED_EVERY == 0
    model = corrupt(step) if corrupted else make_model(step)
    manifest = registry_pb2.PolicyManifest(
        policy_id=POLICY,
        version=policy_pb2.PolicyVersion(epoch=1, step=step),
        sha256=hashlib.sha256(model).hexdigest(),
        spec=policy_pb2.PolicySpec(observation_space=to_proto(OBSERVATION), action_space=to_proto(ACTION)),
    )
    start = time.perf_counter()
    await registry.publish(manifest, model)
    while time.perf_counter() - start < SECONDS:
        reports = (await registry.list(POLICY))[-1].reports
        if reports:
            outcome.ack_ms.append(1e3 * (time.perf_counter() - start))
            served = reports[0].outcome == registry_pb2.REPORT_OUTCOME_SERVING
            if served and not corrupted:
                outcome.acked = step
            outcome.refused += corrupted and not served and bool(reports[0].refusal.message)
            return
        await asyncio.sleep(0.002)


async def _measure(versions: int) -> Outcome:
    outcome, stop = Outcome(), asyncio.Event()
    with tempfile.TemporaryDirectory() as folder, Service("trainer.registry", ["--directory", folder]) as store:
        arguments = ["--policy-id", POLICY, "--registry", store.address]
        with Service("agent_services", arguments) as service:
            registry = RegistryClient(store.address)
            await _push(registry, 1, outcome)
            stepping = asyncio.create_task(_stream_frames(service.address, outcome, stop))
            for step in range(2, versions + 1):
                await _push(registry, step, outcome)
            await asyncio.sleep(0.1)
            stop.set()
            await stepping
            await registry.close()
    return outcome


def run(quick: bool, versions: int = 200) -> list[Row]:
    """Measure.

    Args:
        quick: once instead of three times.
        versions: how many are published in each repeat.
    """
    outcomes = [asyncio.run(_measure(versions)) for _ in range(1 if quick else 3)]
    corrupted = versions // CORRUPTED_EVERY

    def row(name: str, values: Sequence[float], unit: str, target: str, low: float, high: float) -> Row:
        return Row(name, [float(v) for v in values], unit, target, all(low <= v <= high for v in values))

    frames = [o.frames for o in outcomes]
    served = [len(o.ack_ms) - o.refused for o in outcomes]
    late = [max(o.old_after_ack.values(), default=0) for o in outcomes]
    refused = [o.refused for o in outcomes]
    sound = versions - corrupted
    return [
        row("frames asked meanwhile", frames, "frames", f">= {versions}", versions, np.inf),
        row("failed frames", [o.failed for o in outcomes], "frames", "0", 0, 0),
        row("torn or mixed frames", [o.torn for o in outcomes], "frames", "0", 0, 0),
        row("frames by an older version than before", [o.backwards for o in outcomes], "frames", "0", 0, 0),
        row("frames by the old version after the ack, most", late, "frames", "<= 2", 0, 2),
        row("sound versions that served", served, "versions", f"{sound} of {versions}", sound, sound),
        row("corrupted versions refused with a reason", refused, "versions", f"{corrupted}", corrupted, corrupted),
        row("publish to ack, median", [np.median(o.ack_ms) for o in outcomes], "ms", "for information", 0, np.inf),
        row("frame, median", [np.median(o.frame_ms) for o in outcomes], "ms", "for information", 0, np.inf),
        row("frame, slowest", [max(o.frame_ms) for o in outcomes], "ms", "for information", 0, np.inf),
    ]
