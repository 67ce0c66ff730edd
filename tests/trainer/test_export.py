from itertools import pairwise

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from gymnasium import spaces

from agora.spaces import leaves
from trainer.actor import Actor
from trainer.export import ActorExporter
from trainer.stage import make_learner


def trained(spec, block, preset="default", **overrides):
    learner = make_learner("maddpg", preset, {"warmup": 20, "actor_delay": 0, **overrides}, spec, 3)
    learner.add(block())
    learner.update(24)
    return learner


@pytest.mark.parametrize("overrides", [{}, {"activation": "relu"}, {"activation": "tanh", "actor_hidden": (5,)}])
def test_models_equal_the_learner(spec, block, overrides):
    learner = trained(spec, block, **overrides)
    models = ActorExporter().export_all(learner.actors())
    draws = np.random.default_rng(9)
    seen = [
        {
            "last_round_all_prices": draws.random((7, 3, 2), dtype=np.float32),
            "own_charging_flow": draws.uniform(0, 5, (7, 2)).astype(np.float32),
        }
        for _ in range(3)
    ]
    expected = learner.act(seen)
    for agent, model in enumerate(models):
        runner = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        assert [(i.name, i.type, i.shape) for i in runner.get_inputs()] == [
            ("last_round_all_prices", "tensor(float)", ["batch", 3, 2]),
            ("own_charging_flow", "tensor(float)", ["batch", 2]),
        ]
        (output,) = runner.get_outputs()
        assert (output.name, output.type, output.shape) == ("mean", "tensor(float)", ["batch", 2])
        np.testing.assert_allclose(runner.run(["mean"], seen[agent])[0], expected[:, agent], atol=1e-5)
    assert len(set(models)) == 3


def test_models_are_self_contained_and_standard(spec, block):
    for model in ActorExporter().export_all(trained(spec, block).actors()):
        loaded = onnx.load_from_string(model)
        assert {opset.domain for opset in loaded.opset_import} == {""}
        assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in loaded.graph.initializer)


def test_same_actor_same_bytes_and_a_new_architecture_gets_its_own_graph(spec, block):
    exporter = ActorExporter()
    first = exporter.export_all(trained(spec, block).actors())
    other = exporter.export_all(trained(spec, block, actor_hidden=(8,)).actors())
    again = exporter.export_all(trained(spec, block).actors())
    assert first == again
    assert len(other[0]) < len(first[0])


def test_a_wrong_model_is_refused(spec, block, monkeypatch):
    actors = trained(spec, block).actors()
    monkeypatch.setattr(Actor, "__call__", lambda self, seen: right(self, seen) + 1e-3)
    with pytest.raises(ValueError, match="actor 0: expected ONNX outputs within 1e-05"):
        ActorExporter().export_all(actors)


right = Actor.__call__


def actor(space, seen, layers, **more):
    return Actor(leaves(seen), leaves(space)[0], layers, "tanh", **more)


def test_choices_gaussians_and_integers_are_exported():
    draws = np.random.default_rng(1)

    def dense(*widths):
        return [
            (draws.normal(size=(a, b)).astype(np.float32), draws.normal(size=b).astype(np.float32))
            for a, b in pairwise(widths)
        ]

    seen = spaces.Dict({"kind": spaces.Discrete(4), "place": spaces.Box(-np.inf, np.inf, (2,), np.float32)})
    spread = np.array([-1.0, 0.5, 0.0], np.float32)
    box = spaces.Box(-1.0, 3.0, (3,), np.float32)
    choosing = actor(spaces.MultiDiscrete([2, 3]), seen, dense(3, 6, 5))
    gaussian = actor(box, seen, dense(3, 6, 3), bounded=True, log_std=spread)
    observed = {"kind": np.array([3, 0, 2]), "place": draws.normal(size=(3, 2)).astype(np.float32)}
    for model, expected in zip(ActorExporter().export_all([choosing, gaussian]), (choosing, gaussian), strict=True):
        runner = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        named = dict(zip([o.name for o in runner.get_outputs()], runner.run(None, observed), strict=True))
        np.testing.assert_allclose(named.pop(expected.output), expected(observed), rtol=1e-5, atol=1e-5)
        for log_std in named.values():
            np.testing.assert_array_equal(log_std, np.tile(spread, (3, 1)))
