import numpy as np
import onnx
import onnxruntime as ort
import pytest

from trainer.algorithms import make_learner
from trainer.export import ActorExporter


def trained(spec, block, preset="default", **overrides):
    learner = make_learner("maddpg", preset, {"warmup": 20, "actor_delay": 0, **overrides}, spec, 3)
    learner.add(block())
    learner.update(24)
    return learner


@pytest.mark.parametrize("overrides", [{}, {"activation": "relu"}, {"activation": "tanh", "actor_hidden": (5,)}])
def test_models_equal_the_learner(spec, block, overrides):
    learner = trained(spec, block, **overrides)
    models = ActorExporter().export_all(learner)
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
    for model in ActorExporter().export_all(trained(spec, block)):
        loaded = onnx.load_from_string(model)
        assert {opset.domain for opset in loaded.opset_import} == {""}
        assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in loaded.graph.initializer)


def test_same_actor_same_bytes_and_a_new_architecture_gets_its_own_graph(spec, block):
    exporter = ActorExporter()
    first = exporter.export_all(trained(spec, block))
    other = exporter.export_all(trained(spec, block, actor_hidden=(8,)))
    again = exporter.export_all(trained(spec, block))
    assert first == again
    assert len(other[0]) < len(first[0])


def test_a_wrong_model_is_refused(spec, block, monkeypatch):
    learner = trained(spec, block)
    act = learner.act
    monkeypatch.setattr(learner, "act", lambda seen: act(seen) + np.float32(1e-3))
    with pytest.raises(ValueError, match="actor 0: expected ONNX actions within 1e-05"):
        ActorExporter().export_all(learner)
