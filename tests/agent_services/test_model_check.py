"""A model from somebody else is refused before it can do harm, and in words."""

import asyncio

import numpy as np
import onnx
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper

from agent_services import model_check
from agent_services.policies import load
from agora.agents.policy import Source, Spaces
from agora.agents.trial import try_out
from agora.errors import Refused
from agora.spaces import leaves
from tests.support import models

STATION = Spaces(leaves(models.observation_space()), leaves(models.action_space()))
FLOW = {"own_charging_flow": ["B", 8]}
MEAN = {"mean": ["B", 8]}


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def chain(*operators, weights=None, inputs=None, outputs=None):
    """own_charging_flow through one-input operators to mean."""
    names = ["own_charging_flow", *(f"t{i}" for i in range(len(operators) - 1)), "mean"]
    nodes = [node(op, [a], [b], **kw) for (op, kw), a, b in zip(operators, names, names[1:], strict=False)]
    return models.serialize(nodes, inputs or FLOW, outputs or MEAN, weights)


def edited(change):
    model = onnx.load_model_from_string(models.price_model())
    change(model)
    return model.SerializeToString()


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def function(model):
    made = helper.make_function("own", "F", ["x"], ["y"], [node("Relu", ["x"], ["y"])], [helper.make_opsetid("", 20)])
    model.functions.append(made)


def loop(model):
    body = helper.make_graph([node("Identity", ["c"], ["d"])], "body", [], [])
    model.graph.node.append(node("Loop", ["", ""], ["x"], body=body))


def hidden_graph(model):
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", helper.make_graph([], "g", [], [])))


def bomb():
    """64 bytes that ask for a gigabyte."""
    nodes = [
        node("ConstantOfShape", ["shape"], ["huge"]),
        node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        node("Add", ["own_charging_flow", "sum"], ["mean"]),
    ]
    return models.serialize(nodes, FLOW, MEAN, {"shape": np.array([2**28], np.int64)})


def outer_product():
    """Two small weights whose product is large."""
    nodes = [
        node("Mul", ["a", "b"], ["huge"]),
        node("ReduceSum", ["huge"], ["sum"], keepdims=0),
        node("Add", ["own_charging_flow", "sum"], ["mean"]),
    ]
    weights = {"a": np.ones((100_000, 1), np.float32), "b": np.ones((1, 100_000), np.float32)}
    return models.serialize(nodes, FLOW, MEAN, weights)


STRUCTURES = {
    "garbage": (lambda: b"\xff" * 100, "do not parse"),
    "empty": (lambda: b"", "an empty graph"),
    "truncated": (lambda: models.price_model()[:-4000], ""),
    "external data": (lambda: edited(external), "external data"),
    "function": (lambda: edited(function), "model.functions"),
    "other domain": (
        lambda: edited(lambda m: m.opset_import.append(helper.make_opsetid("com.microsoft", 1))),
        "com.microsoft",
    ),
    "loop": (lambda: edited(loop), "Loop"),
    "hidden graph": (lambda: edited(hidden_graph), "no graph inside a node"),
    "bomb": (bomb, "ConstantOfShape"),
    "outer product": (outer_product, "at most"),
    "random": (lambda: chain(("RandomNormalLike", {})), "RandomNormalLike"),
    "fixed batch": (lambda: chain(("Relu", {}), inputs={"own_charging_flow": [4, 8]}), "without a fixed length"),
    "many nodes": (lambda: chain(*[("Relu", {})] * 2_001), "at most 2000 nodes"),
    "wrong graph": (
        lambda: edited(lambda m: m.graph.node[0].input.__setitem__(0, "nowhere")),
        "a well-formed graph",
    ),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_structure_is_checked_before_anything_runs(name):
    build, words = STRUCTURES[name]
    with pytest.raises(Refused, match="MODEL") as caught:
        model_check.check_structure(build())
    assert words in str(caught.value)


def test_a_model_beyond_the_cap_is_not_even_parsed(monkeypatch):
    monkeypatch.setattr(model_check, "MAX_BYTES", 1000)
    with pytest.raises(Refused, match="at most 1000 bytes, got"):
        model_check.check_structure(models.price_model())


def other_rows():
    nodes = [
        node("ReduceMean", ["own_charging_flow", "first"], ["m"], keepdims=1),
        node("Add", ["own_charging_flow", "m"], ["mean"]),
    ]
    return models.serialize(nodes, FLOW, MEAN, {"first": np.array([0], np.int64)})


def nan_weights():
    model = onnx.load_model_from_string(models.price_model())
    poison = onnx.numpy_helper.from_array(np.full((8, 64), np.nan, np.float32), "w2")
    model.graph.initializer.remove(next(i for i in model.graph.initializer if i.name == "w2"))
    model.graph.initializer.append(poison)
    return model.SerializeToString()


TRIALS = {
    "not finite": (nan_weights, "finite numbers"),
    "not finite at a bound": (lambda: chain(("Log", {})), "finite numbers"),
    "other rows": (other_rows, "own row alone"),
    "unknown input": (
        lambda: models.serialize([node("Relu", ["state"], ["mean"])], {"state": ["B", 8]}, MEAN),
        "model.inputs.state",
    ),
    "input's shape": (
        lambda: chain(("Relu", {}), inputs={"own_charging_flow": ["B", 9]}, outputs={"mean": ["B", 9]}),
        "(B, 8)",
    ),
    "output's shape": (lambda: wide(), "float32 (B, 8)"),
    "output's name": (
        lambda: models.serialize([node("Relu", ["own_charging_flow"], ["price"])], FLOW, {"price": ["B", 8]}),
        "mean",
    ),
    "one output more": (
        lambda: models.serialize(
            [node("Relu", ["own_charging_flow"], ["mean"]), node("Abs", ["mean"], ["extra"])],
            FLOW,
            {**MEAN, "extra": ["B", 8]},
        ),
        "extra",
    ),
}


def wide():
    nodes = [node("Concat", ["own_charging_flow", "own_charging_flow"], ["mean"], axis=1)]
    return models.serialize(nodes, FLOW, {"mean": ["B", 16]})


@pytest.mark.parametrize("name", TRIALS)
def test_a_model_has_to_stand_its_trial(name):
    build, words = TRIALS[name]
    with pytest.raises(Refused) as caught:
        asyncio.run(try_out(load("onnx", Source(model=build())), STATION))
    assert words in str(caught.value)


def test_what_a_policy_needs_passes():
    for activation in ("Relu", "Tanh", "Elu", "Softplus", "Gelu", "LeakyRelu", "Sigmoid"):
        asyncio.run(try_out(load("onnx", Source(model=models.price_model(activation=activation))), STATION))


def test_spaces_of_another_kind_are_refused():
    with pytest.raises(Refused, match="SPEC_MISMATCH"):
        load("onnx", Source(model=models.price_model())).bind(Spaces(STATION.observation, leaves(spaces.Discrete(4))))
