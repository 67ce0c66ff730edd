"""Scripted and torch policies, and the settings that choose them."""

import numpy as np
import pytest
from gymnasium import spaces
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from agent_services.policies import load
from agent_services.settings import Settings
from agora.agents.policy import Batch, Draws, Source, Spaces
from agora.errors import Refused
from agora.spaces import leaves
from tests.support import frames, models

STATION = Spaces(leaves(models.observation_space()), leaves(models.action_space()), index=1)


def decide(policy, observation, spaces_=STATION, masks=(None,)):
    rows = len(observation[0])
    draws = Draws(1, 0, spaces_.index, 0, np.arange(rows, dtype=np.uint32))
    return policy.bind(spaces_)(Batch(observation, masks, np.zeros((rows, 0), np.uint8), draws))


def script(name, **parameters):
    return load("scripted", Source(name, {key: str(value) for key, value in parameters.items()}))


def test_constant_prices():
    seen = frames.random_observation(3)
    for policy, price in (
        (script("fixed_price", price=0.3), 0.3),
        (script("fixed_price"), 0.5),
        (script("fixed_price", price=7), 1.0),
        (script("cost_plus", cost=0.2, markup=0.5), 0.3),
    ):
        action = decide(policy, seen).heads[0].action
        assert action.dtype == np.float32 and np.allclose(action, np.full((3, 8), price))


def test_undercut_goes_below_the_cheapest_rival_in_every_period():
    prices = np.stack([np.full((4, 8), 0.9, np.float32)] * 2)
    prices[:, 1] = 0.1  # its own
    prices[:, 3, 2], prices[:, 2, 5] = 0.6, 0.005
    action = decide(script("undercut", step=0.05), [prices, np.zeros((2, 8), np.float32)]).heads[0].action
    expected = np.full(8, 0.85)
    expected[2], expected[5] = 0.55, 0.0
    assert np.allclose(action, expected)


def test_undercut_needs_prices_and_rivals():
    alone = Spaces(leaves(models.observation_space(agents=1)), STATION.action)
    with pytest.raises(Refused, match="rivals"):
        script("undercut").bind(alone)
    with pytest.raises(Refused, match="last_round_all_prices"):
        script("undercut").bind(Spaces(leaves(spaces.Discrete(3)), STATION.action))


def test_random_is_legal_and_spreads():
    space = spaces.Dict({"a": spaces.Box(-2.0, 5.0, (3,), np.float32), "b": spaces.MultiDiscrete([3, 4])})
    mask = np.ones((500, 7), np.uint8)
    mask[:, 1] = 0
    seen = [np.zeros((500, 1), np.float32)]
    heads = decide(script("random"), seen, Spaces((), leaves(space)), [None, mask]).heads
    for leaf, head in zip(leaves(space), heads, strict=True):
        leaf.check(head.action, 500, "action")
    assert heads[0].action.min() < -1.9 and heads[0].action.max() > 4.9
    assert set(heads[1].action[:, 0]) == {0, 2} and set(heads[1].action[:, 1]) == {0, 1, 2, 3}


def test_random_spreads_over_choices_that_nobody_can_count():
    space = spaces.Dict({"a": spaces.Discrete(2**62, start=-5), "b": spaces.MultiDiscrete([2**40, 3])})
    seen = [np.zeros((500, 1), np.float32)]
    heads = decide(script("random"), seen, Spaces((), leaves(space)), [None, None]).heads
    for leaf, head in zip(leaves(space), heads, strict=True):
        leaf.check(head.action, 500, "action")
    assert heads[0].action.mean() / 2**61 == pytest.approx(1.0, abs=0.15)  # five standard errors
    np.testing.assert_allclose(np.bincount(heads[1].action[:, 1], minlength=3) / 500, 1 / 3, atol=0.11)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("nobody", {}, "expected scripted:NAME with NAME out of fixed_price"),
        ("fixed_price", {"cost": "1"}, "parameter.cost: expected one of"),
        ("fixed_price", {"price": "nan"}, "parameter.price: expected a finite number, got nan"),
        ("random", {"x": "1"}, "none for random"),
    ],
)
def test_bad_scripts_are_refused(name, parameters, words):
    with pytest.raises(Refused) as caught:
        load("scripted", Source(name, parameters))
    assert words in str(caught.value)


def mlp(**changes):
    rng = np.random.default_rng(0)
    tensors = {
        "0.weight": rng.normal(size=(16, 40)).astype(np.float32),
        "0.bias": np.zeros(16, np.float32),
        "2.weight": rng.normal(size=(8, 16)).astype(np.float32),
        "2.bias": np.zeros(8, np.float32),
    }
    return {name: values for name, values in {**tensors, **changes}.items() if values is not None}


def test_a_safetensors_mlp_computes_what_it_should():
    tensors, seen = mlp(), frames.random_observation(70)
    policy = load("torch", Source(model=save(tensors, {"activation": "tanh", "output": "sigmoid"})))
    flat = np.concatenate([values.reshape(70, -1) for values in seen], axis=1)
    hidden = np.tanh(flat @ tensors["0.weight"].T)
    expected = 1 / (1 + np.exp(-(hidden @ tensors["2.weight"].T)))
    assert np.allclose(decide(policy, seen).heads[0].mean, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (b"not safetensors at all", "a safetensors file"),
        (save(mlp(), {"activation": "eval"}), "model.metadata.activation"),
        (save(mlp(**{"0.bias": None})), "model.0"),
        (save(mlp(**{"2.weight": np.zeros((8, 17), np.float32)})), "a layer of 16 inputs, got one of 17"),
        (save(mlp(strange=np.zeros(3, np.float32))), "model.strange"),
    ],
)
def test_bad_weights_are_refused(model, words):
    with pytest.raises(Refused) as caught:
        load("torch", Source(model=model))
    assert words in str(caught.value)


def test_an_mlp_of_other_widths_is_refused():
    policy = load(
        "torch",
        Source(model=save(mlp(**{"2.weight": np.zeros((9, 16), np.float32), "2.bias": np.zeros(9, np.float32)}))),
    )
    with pytest.raises(Refused, match="SPEC_MISMATCH"):
        policy.bind(STATION)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        (Settings(), "registry"),
        (Settings(policy="scripted:random", registry="127.0.0.1:1"), "registry"),
        (Settings(registry="127.0.0.1:1", parameter=("price=1",)), "parameter"),
        (Settings(registry="127.0.0.1:1", keep_versions=1), "keep_versions"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, field):
    with pytest.raises(Refused) as caught:
        settings.check()
    assert caught.value.field == field


def test_an_unknown_kind_is_refused():
    with pytest.raises(Refused, match="one of market, onnx, remote, scripted, torch, got pickle"):
        load("pickle", Source())


GAME = Spaces(leaves(spaces.Box(-1.0, 1.0, (8,), np.float32)), leaves(spaces.Box(0.0, 1.0, (8,), np.float32)))
CHOICE = Spaces(GAME.observation, leaves(spaces.Discrete(3)))


def onnx_policy(*nodes, inputs=("observation",), outputs=("mean",), first="B", kinds=None, **weights):
    """A model of nodes (operator, inputs, outputs, attributes), whose ends are (first, 8) or as ``kinds`` say."""
    kinds = kinds or {}
    ends = [
        [helper.make_tensor_value_info(n, *kinds.get(n, (TensorProto.FLOAT, [first, 8]))) for n in names]
        for names in (inputs, outputs)
    ]
    made = [helper.make_node(operator, ins, outs, **rest) for operator, ins, outs, rest in nodes]
    held = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(made, "policy", *ends, held)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return load("onnx", Source(model=proto.SerializeToString()))


def rows_of(n):
    return [np.random.default_rng(n).uniform(-1, 1, (n, 8)).astype(np.float32)]


def test_a_model_for_one_row_answers_for_many():
    seen = rows_of(37)
    policy = onnx_policy(("Sigmoid", ["input"], ["mean"], {}), inputs=("input",), first=1)
    assert np.allclose(decide(policy, seen, GAME).heads[0].mean, 1 / (1 + np.exp(-seen[0])), atol=1e-6)


def test_a_batch_beyond_what_fits_is_run_in_pieces():
    """2**17 elements a row: 128 rows at once, and each piece is filled up by itself."""
    wide = [("Tile", ["observation", "k"], ["t"], {}), ("Reshape", ["t", "s"], ["u"], {})]
    nodes = [*wide, ("ReduceMean", ["u", "axis"], ["mean"], {"keepdims": 0})]
    weights = {"k": np.array([1, 2**14]), "s": np.array([-1, 2**14, 8]), "axis": np.array([1])}
    policy, seen = onnx_policy(*nodes, **weights), rows_of(300)
    assert np.allclose(decide(policy, seen, GAME).heads[0].mean, seen[0], atol=1e-4)


def test_memory_of_all_pieces_comes_back():
    kinds = {name: (TensorProto.FLOAT, ["B", 2]) for name in ("memory", "next_memory")}
    nodes = [("Relu", ["observation"], ["mean"], {}), ("Add", ["memory", "one"], ["next_memory"], {})]
    ends = {"inputs": ("observation", "memory"), "outputs": ("mean", "next_memory")}
    policy = onnx_policy(*nodes, **ends, kinds=kinds, one=np.ones(1, np.float32))
    before = np.arange(2 * 5000, dtype=np.float32).reshape(5000, 2)
    draws = Draws(1, 0, 0, 0, np.arange(5000, dtype=np.uint32))
    decision = policy.bind(GAME)(Batch(rows_of(5000), [None], before.view(np.uint8), draws))
    assert np.array_equal(decision.memory.view(np.float32), before + 1)
    assert len(decision.heads[0].mean) == 5000


def test_an_action_that_the_model_settles_is_taken_as_it_is():
    kinds = {"action": (TensorProto.INT64, ["B"]), "values": (TensorProto.FLOAT, ["B", 8])}
    nodes = [
        ("Slice", ["input", "from", "to", "axis"], ["three"], {}),
        ("ArgMax", ["three"], ["action"], {"axis": 1, "keepdims": 0}),
        ("Neg", ["input"], ["values"], {}),
    ]
    weights = {"from": np.array([0]), "to": np.array([3]), "axis": np.array([1])}
    seen, ends = rows_of(20), {"inputs": ("input",), "outputs": ("action", "values"), "kinds": kinds}
    head = decide(onnx_policy(*nodes, **ends, **weights), seen, CHOICE).heads[0]
    assert np.array_equal(head.action, seen[0][:, :3].argmax(1)) and head.action.dtype == np.int64
    weights["to"] = np.array([8])  # of eight choices, where the game has three
    with pytest.raises(Refused, match=r"model.outputs.action: expected \[0, 2\], got [3-7]"):
        decide(onnx_policy(*nodes, **ends, **weights), seen, CHOICE)


@pytest.mark.parametrize(
    ("nodes", "ends", "words"),
    [
        ([("Neg", ["observation"], ["action"], {})], {}, "model.outputs.action: expected [0.0, 1.0], got -"),
        ([("Cast", ["observation"], ["action"], {"to": 11})], {}, "model.outputs.action"),
        ([("Cast", ["observation"], ["action"], {"to": 7})], {}, "float32 or float64 (B, 8), got tensor(int64)"),
        ([("Relu", ["observation"], ["price"], {})], {}, "expected mean, or action, got ['price']"),
        ([("Concat", ["observation", "observation"], ["mean"], {"axis": 1})], {}, "expected float32 (B, 8), got"),
        (
            [("Relu", ["left"], ["mean"], {}), ("Relu", ["right"], ["value"], {})],
            {"inputs": ("left", "right")},
            "model.inputs.left: expected a name out of ['observation']",
        ),
        ([("Slice", ["observation", "n", "m"], ["mean"], {})], {}, "model.outputs.mean: expected a row for each of 16"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(nodes, ends, words):
    ends = {"outputs": tuple(name for _, _, outs, _ in nodes for name in outs), **ends}
    types = {7: TensorProto.INT64, 11: TensorProto.DOUBLE}
    made = {outs[0]: types.get(rest.get("to"), TensorProto.FLOAT) for _, _, outs, rest in nodes}
    kinds = {name: (kind, ["B", 16 if nodes[0][0] == "Concat" else 8]) for name, kind in made.items()}
    with pytest.raises(Refused) as caught:
        policy = onnx_policy(*nodes, **ends, kinds=kinds, n=np.array([0]), m=np.array([7]))
        decide(policy, rows_of(16), GAME)
    assert words in str(caught.value)
