"""Actors as ONNX models: observation leaves in, parameters of the action distribution out.

The models of one architecture differ only in their weights, so the graph is built once and each version only swaps
them. Only the standard operator set is used, and weights are inside the model.

====================  ================  ==================================================================
input ``PATH``        (B, ...) float32  an observation leaf; ``observation`` where the space is one leaf
output ``mean``       (B, A) float32    the deterministic action, in the action's own units
====================  ================  ==================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trainer.algorithms.base import Learner
from trainer.algorithms.layout import Layout
from trainer.networks import Activation

Layers = Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]

OPSET, IR_VERSION = 17, 10
TOLERANCE: Final = 1e-5
CHECKED_ROWS: Final = 32
OBSERVED_SPREAD: Final = 4.0
"""Where an observation's leaf has no finite bound, it is checked up to this."""


class ActorExporter:
    """Exports actors; keeps the graph of the architecture that it saw last."""

    def __init__(self) -> None:
        self._template: onnx.ModelProto | None = None
        self._key: object = None

    def export_all(self, learner: Learner) -> list[bytes]:
        """The model of every agent's actor, checked against the learner's own actions on random observations.

        Raises:
            ValueError: a model's actions differ from the learner's by more than 1e-5.
        """
        layout = learner.layout
        seen = [_random_observation(layout, agent) for agent in range(layout.agents)]
        expected = learner.act(seen)
        models = []
        for agent in range(layout.agents):
            model = self._build(layout, learner.actor_layers(agent), learner.config.activation)
            _check(model, seen[agent], expected[:, agent], agent)
            models.append(model)
        return models

    def _build(self, layout: Layout, layers: Layers, activation: Activation) -> bytes:
        inputs = [(leaf.path, leaf.shape) for leaf in layout.observation]
        shapes = [weight.shape for weight, _ in layers]
        key = (inputs, layout.low.tobytes(), layout.high.tobytes(), shapes, activation)
        if self._template is None or self._key != key:
            self._template, self._key = graph(layout, layers, activation), key
        held = {tensor.name: tensor for tensor in self._template.graph.initializer}
        for number, (weight, bias) in enumerate(layers):
            held[f"weight_{number}"].raw_data = np.ascontiguousarray(weight, "<f4").tobytes()
            held[f"bias_{number}"].raw_data = np.ascontiguousarray(bias, "<f4").tobytes()
        return self._template.SerializeToString(deterministic=True)


def graph(layout: Layout, layers: Layers, activation: Activation) -> onnx.ModelProto:
    """The model of one actor: leaves side by side, dense layers, sigmoid, the action's bounds."""
    nodes: list[onnx.NodeProto] = []
    inputs, flat = [], []
    for number, leaf in enumerate(layout.observation):
        name = leaf.path or "observation"
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *leaf.shape]))
        nodes.append(helper.make_node("Flatten", [name], [f"flat_{number}"], axis=1))
        flat.append(f"flat_{number}")
    nodes.append(helper.make_node("Concat", flat, ["hidden_0"], axis=1))
    constants = {"low": layout.low, "width": layout.high - layout.low}
    for number, (weight, bias) in enumerate(layers):
        constants |= {f"weight_{number}": weight, f"bias_{number}": bias}
        names = [f"hidden_{number}", f"weight_{number}", f"bias_{number}"]
        nodes.append(helper.make_node("Gemm", names, [f"linear_{number}"]))
        if number < len(layers) - 1:
            nodes += _activation(activation, f"linear_{number}", f"hidden_{number + 1}")
    nodes.append(helper.make_node("Sigmoid", [f"linear_{len(layers) - 1}"], ["share"]))
    nodes.append(helper.make_node("Mul", ["share", "width"], ["above"]))
    nodes.append(helper.make_node("Add", ["above", "low"], ["mean"]))
    output = helper.make_tensor_value_info("mean", TensorProto.FLOAT, ["batch", layout.action_width])
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    built = helper.make_graph(nodes, "actor", inputs, [output], tensors)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _activation(activation: Activation, source: str, target: str) -> list[onnx.NodeProto]:
    if activation != "silu":
        return [helper.make_node({"relu": "Relu", "tanh": "Tanh"}[activation], [source], [target])]
    gate = f"{source}_gate"
    return [helper.make_node("Sigmoid", [source], [gate]), helper.make_node("Mul", [source, gate], [target])]


def _random_observation(layout: Layout, agent: int) -> Mapping[str, NDArray[Any]]:
    draws = np.random.default_rng(agent)
    found = {}
    for leaf in layout.observation:
        low = np.where(np.isfinite(leaf.low), leaf.low, -OBSERVED_SPREAD)
        high = np.minimum(np.where(np.isfinite(leaf.high), leaf.high, OBSERVED_SPREAD), low + 2 * OBSERVED_SPREAD)
        found[leaf.path] = draws.uniform(low, high, (CHECKED_ROWS, *leaf.shape)).astype(np.float32)
    return found


def _check(model: bytes, seen: Mapping[str, NDArray[Any]], expected: NDArray[np.float32], agent: int) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    runner = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (mean,) = runner.run(["mean"], {path or "observation": values for path, values in seen.items()})
    error = float(np.abs(mean - expected).max()) if np.isfinite(mean).all() else float("inf")
    if error > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ValueError(f"actor {agent}: expected ONNX actions within {TOLERANCE} of the learner's, got {error}")
