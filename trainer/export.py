"""Actors as ONNX models: observation leaves in, parameters of the action distribution out.

The models of one architecture differ only in their weights, so the graph is built once and each version only swaps
them. Only the standard operator set is used, and weights are inside the model. Names of tensors that are neither inputs
nor outputs begin with a slash, which no observation's leaf has.

====================  ==================  ===============================================================
input ``PATH``        (B, ...)            an observation leaf; ``observation`` where the space is one leaf
output ``mean``       (B, A) float32      a box: the deterministic action, in its own units
output ``log_std``    (B, A) float32      a box with a Gaussian policy: logarithm of its standard deviation
output ``logits``     (B, C) float32      choices
====================  ==================  ===============================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from trainer.actor import Actor
from trainer.networks import Activation

OPSET, IR_VERSION = 17, 10
TOLERANCE: Final = 1e-5
CHECKED_ROWS: Final = 32
OBSERVED_SPREAD: Final = 4.0
"""Where an observation's leaf has no finite bound, it is checked up to this."""


class ActorExporter:
    """Exports actors; keeps the graphs of the architectures that it saw."""

    def __init__(self) -> None:
        self._templates: dict[object, onnx.ModelProto] = {}

    def export_all(self, actors: Sequence[Actor], agents: Sequence[str] | None = None) -> list[bytes]:
        """The model of every actor, checked against the actor in double precision on random observations.

        Args:
            actors: one per agent.
            agents: their ids, for errors; by number without.

        Raises:
            ValueError: a model's outputs are not finite, or differ from the actor's by more than 1e-5 of their size.
        """
        models = []
        for number, actor in enumerate(actors):
            model = self._build(actor)
            _check(model, actor, number, agents[number] if agents else f"actor {number}")
            models.append(model)
        return models

    def _build(self, actor: Actor) -> bytes:
        template = self._templates.setdefault(_architecture(actor), graph(actor))
        held = {tensor.name: tensor for tensor in template.graph.initializer}
        for name, value in _weights(actor).items():
            held[name].raw_data = np.ascontiguousarray(value, "<f4").tobytes()
        return template.SerializeToString(deterministic=True)


def _architecture(actor: Actor) -> object:
    inputs = tuple((leaf.path, leaf.shape, leaf.dtype.str) for leaf in actor.observation)
    shapes = tuple(weight.shape for weight, _ in actor.layers)
    bounds = (actor.low.tobytes(), actor.width.tobytes()) if actor.bounded else None
    return inputs, shapes, actor.activation, actor.output, bounds, actor.log_std is None


def _weights(actor: Actor) -> dict[str, NDArray[np.float32]]:
    """What differs from version to version."""
    found = {} if actor.log_std is None else {"/spread": actor.log_std[None]}
    for number, (weight, bias) in enumerate(actor.layers):
        found |= {f"/weight_{number}": weight, f"/bias_{number}": bias}
    return found


def graph(actor: Actor) -> onnx.ModelProto:
    """The model of one actor: leaves side by side, dense layers, and where it is bounded a sigmoid onto the bounds."""
    nodes: list[onnx.NodeProto] = []
    inputs = _read(actor, nodes)
    constants = _weights(actor)
    last = len(actor.layers) - 1
    for number in range(last + 1):
        names = [f"/hidden_{number}", f"/weight_{number}", f"/bias_{number}"]
        target = f"/linear_{number}" if number < last or actor.bounded else actor.output
        nodes.append(helper.make_node("Gemm", names, [target]))
        if number < last:
            nodes += _activation(actor.activation, target, f"/hidden_{number + 1}")
    if actor.bounded:
        constants |= {"/low": actor.low, "/width": actor.width}
        nodes.append(helper.make_node("Sigmoid", [f"/linear_{last}"], ["/share"]))
        nodes.append(helper.make_node("Mul", ["/share", "/width"], ["/above"]))
        nodes.append(helper.make_node("Add", ["/above", "/low"], [actor.output]))
    outputs = [actor.output]
    if actor.log_std is not None:
        constants["/nothing"] = np.zeros((), np.float32)
        nodes.append(helper.make_node("Mul", [actor.output, "/nothing"], ["/rows"]))
        nodes.append(helper.make_node("Add", ["/rows", "/spread"], ["log_std"]))
        outputs.append("log_std")
    size = actor.layers[-1][0].shape[1]
    described = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name in outputs]
    tensors = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    built = helper.make_graph(nodes, "actor", inputs, described, tensors)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _read(actor: Actor, nodes: list[onnx.NodeProto]) -> list[onnx.ValueInfoProto]:
    """Inputs of all leaves; adds the nodes that put them side by side as ``/hidden_0``."""
    inputs, flat = [], []
    for number, leaf in enumerate(actor.observation):
        name = leaf.path or "observation"
        kind = helper.np_dtype_to_tensor_dtype(leaf.dtype)
        inputs.append(helper.make_tensor_value_info(name, kind, ["batch", *leaf.shape]))
        if leaf.dtype != np.float32:
            nodes.append(helper.make_node("Cast", [name], [f"/cast_{number}"], to=TensorProto.FLOAT))
            name = f"/cast_{number}"
        if leaf.shape:
            nodes.append(helper.make_node("Flatten", [name], [f"/flat_{number}"], axis=1))
        else:
            nodes.append(helper.make_node("Reshape", [name, "/column"], [f"/flat_{number}"]))
        flat.append(f"/flat_{number}")
    if any(not leaf.shape for leaf in actor.observation):
        column = numpy_helper.from_array(np.array([-1, 1], np.int64))
        nodes.insert(0, helper.make_node("Constant", [], ["/column"], value=column))
    nodes.append(helper.make_node("Concat", flat, ["/hidden_0"], axis=1))
    return inputs


def _activation(activation: Activation, source: str, target: str) -> list[onnx.NodeProto]:
    if activation != "silu":
        return [helper.make_node({"relu": "Relu", "tanh": "Tanh"}[activation], [source], [target])]
    gate = f"{source}_gate"
    return [helper.make_node("Sigmoid", [source], [gate]), helper.make_node("Mul", [source, gate], [target])]


def _random_observation(actor: Actor, number: int) -> Mapping[str, NDArray[Any]]:
    draws = np.random.default_rng(number)
    found = {}
    for leaf in actor.observation:
        top = leaf.high.astype(np.float64)
        low = np.maximum(leaf.low.astype(np.float64), np.minimum(-OBSERVED_SPREAD, top - 2 * OBSERVED_SPREAD))
        high = np.minimum(top, low + 2 * OBSERVED_SPREAD)
        drawn = draws.uniform(low, high, (CHECKED_ROWS, *leaf.shape))
        with np.errstate(invalid="ignore"):  # the ends of 64 bits, which doubles round up
            cast = drawn.astype(leaf.dtype)
        found[leaf.path] = np.minimum(np.maximum(cast, leaf.low), leaf.high).astype(leaf.dtype)
    return found


def _check(model: bytes, actor: Actor, number: int, name: str) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    runner = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    seen = _random_observation(actor, number)
    named = [output.name for output in runner.get_outputs()]
    outputs = runner.run(named, {path or "observation": values for path, values in seen.items()})
    for output, values in zip(named, outputs, strict=True):
        if not np.isfinite(values).all():
            wrong = values[~np.isfinite(values)][0]
            raise ValueError(f"{name}: expected finite outputs {output} of its exported policy, got {wrong}")
    expected, got = actor(seen), outputs[named.index(actor.output)]
    error = float(np.abs(got - expected).max())
    if not error <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ValueError(f"{name}: expected ONNX outputs within {TOLERANCE} of the actor's, got {error}")
