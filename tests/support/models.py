"""Models and manifests for tests and measurements, built without torch."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from gymnasium import spaces
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from agora.spaces import to_proto
from agora.v1 import policy_pb2, policy_registry_pb2

FLOAT = TensorProto.FLOAT


def observation_space(agents: int = 4, periods: int = 8) -> spaces.Dict:
    """As a charging station sees."""
    prices = spaces.Box(0.0, 1.0, (agents, periods), np.float32)
    high = np.linspace(1.0, 2.0, periods, dtype=np.float32)
    return spaces.Dict(
        {"last_round_all_prices": prices, "own_charging_flow": spaces.Box(np.zeros_like(high), high, dtype=np.float32)}
    )


def action_space(periods: int = 8) -> spaces.Box:
    """As a charging station decides."""
    return spaces.Box(0.0, 1.0, (periods,), np.float32)


def serialize(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any]],
    weights: dict[str, NDArray[Any]] | None = None,
) -> bytes:
    """An ONNX model's bytes; shapes may name axes."""
    graph = helper.make_graph(
        list(nodes),
        "policy",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return bytes(model.SerializeToString())


def price_model(
    seed: int = 0, agents: int = 4, periods: int = 8, hidden: Sequence[int] = (64, 64), activation: str = "Relu"
) -> bytes:
    """The charging actor: prices and flow, two hidden layers, sigmoid."""
    rng = np.random.default_rng(seed)
    sizes = [agents * periods + periods, *hidden, periods]
    nodes = [
        helper.make_node("Flatten", ["last_round_all_prices"], ["flat"], axis=1),
        helper.make_node("Concat", ["flat", "own_charging_flow"], ["x0"], axis=1),
    ]
    weights = {}
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{i}"] = (rng.normal(size=(b, a)) / np.sqrt(a)).astype(np.float32)
        weights[f"b{i}"] = rng.normal(scale=0.1, size=b).astype(np.float32)
        nodes.append(helper.make_node("Gemm", [f"x{i}", f"w{i}", f"b{i}"], [f"h{i}"], transB=1))
        last = i == len(sizes) - 2
        out = "mean" if last else f"x{i + 1}"
        nodes.append(helper.make_node("Sigmoid" if last else activation, [f"h{i}"], [out]))
    inputs = {"last_round_all_prices": ["B", agents, periods], "own_charging_flow": ["B", periods]}
    return serialize(nodes, inputs, {"mean": ["B", periods]}, weights)


def constant_model(value: float, agents: int = 4, periods: int = 8) -> bytes:
    """Answers ``value`` in every period, whatever it sees."""
    nodes = [
        helper.make_node("Mul", ["own_charging_flow", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "value"], ["mean"]),
    ]
    weights = {"zero": np.zeros(1, np.float32), "value": np.full(1, value, np.float32)}
    return serialize(nodes, {"own_charging_flow": ["B", periods]}, {"mean": ["B", periods]}, weights)


def counting_model(step: float, agents: int = 4, periods: int = 8) -> bytes:
    """A policy with memory: at its n-th decision in an episode it charges n * ``step``, whatever it sees."""
    weights = {
        "one": np.ones((1, 1), np.float32),
        "none": np.zeros((periods, periods), np.float32),
        "step": np.full((1, periods), step, np.float32),
    }
    nodes = [
        helper.make_node("Add", ["memory", "one"], ["next_memory"]),
        helper.make_node("MatMul", ["next_memory", "step"], ["counted"]),
        helper.make_node("MatMul", ["own_charging_flow", "none"], ["nothing"]),
        helper.make_node("Add", ["counted", "nothing"], ["mean"]),
    ]
    inputs = {"own_charging_flow": ["batch", periods], "memory": ["batch", 1]}
    return serialize(nodes, inputs, {"mean": ["batch", periods], "next_memory": ["batch", 1]}, weights)


def manifest(
    policy_id: str,
    epoch: int,
    step: int,
    model: bytes,
    observation: spaces.Space[Any] | None = None,
    action: spaces.Space[Any] | None = None,
) -> policy_registry_pb2.PolicyManifest:
    """A complete manifest."""
    return policy_registry_pb2.PolicyManifest(
        policy_id=policy_id,
        version=policy_pb2.PolicyVersion(epoch=epoch, step=step),
        sha256=hashlib.sha256(model).hexdigest(),
        spec=policy_pb2.PolicySpec(
            observation_space=to_proto(observation or observation_space()),
            action_space=to_proto(action or action_space()),
        ),
        lineage=policy_registry_pb2.PolicyLineage(run="test", algorithm="none"),
    )
