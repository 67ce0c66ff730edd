"""Scripted and torch policies, and the settings that choose them."""

import numpy as np
import pytest
from gymnasium import spaces
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
