"""How agents' values become what is learned: their own, their sum, and QMIX's mixing by hand."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from trainer.algorithms import make_learner
from trainer.spec import GameSpec

Q = torch.tensor([[3.0, -30.0], [1.0, -10.0]])
STATES = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def learner_of(algorithm, **overrides):
    seen, state = (spaces.Box(-9.0, 9.0, (n,), np.float32) for n in (1, 2))
    spec = GameSpec("game", "", ("a", "b"), (seen, seen), (spaces.Discrete(2), spaces.Discrete(3)), state, False, {})
    return make_learner(algorithm, {"hidden": (4,), "warmup": 1} | overrides, spec, 0)


def qmix(linear, deep=(0.0, 0.0), **overrides):
    """Hypernetworks that say a row of numbers for each of the two states; the deep one's hidden layer says the state.

    Args:
        linear: (2, 4 E), of W_1 row by row, b_1 and W_2.
        deep: of b_2.
        overrides: of the settings.
    """
    learner = learner_of("qmix", **{"mixing_width": 2, "mixing_scale": 5.0} | overrides)
    flat, hidden = learner.networks[1:]
    flat.load_state_dict({"0": torch.tensor([linear]), "1": torch.zeros(1, 1, len(linear[0]))})
    width = learner.config.mixing_width
    state = {"0": torch.eye(2, width)[None], "1": torch.zeros(1, width, 1)}
    state["1"][0, :2, 0] = torch.tensor(deep)
    hidden.load_state_dict(state | {"2": torch.zeros(1, 1, width), "3": torch.zeros(1, 1, 1)})
    return learner


def mixed(learner, networks=None):
    with torch.no_grad():
        return learner.mix(Q, STATES, learner.networks[1:] if networks is None else networks)


def test_alone_each_value_is_its_own_and_together_they_are_added():
    assert torch.equal(mixed(learner_of("idqn")), Q)
    assert mixed(learner_of("vdn")).tolist() == [[4.0, -40.0]]


def elu(x):
    return x if x > 0 else math.exp(x) - 1


@pytest.mark.parametrize(("width", "scale"), [(2, 5.0), (3, 5.0), (2, 20.0)])
def test_where_hypernetworks_are_silent_it_is_the_sum_bent_far_below_zero(width, scale):
    learner = qmix([[0.0] * 4 * width] * 2, mixing_width=width, mixing_scale=scale)
    torch.testing.assert_close(mixed(learner), torch.tensor([[4.0, scale * elu(-40 / scale)]]))


def test_weights_depart_by_a_tenth_of_what_hypernetworks_say():
    """W_1 = [[1.2, 1], [0.5, |1 - 2|]] / 5, b_1 = (0.3, -4), W_2 = (1.5, 0) · 5 / 2, b_2 = 7 in the first state."""
    said = [2.0, 0.0, -5.0, -20.0, 3.0, -40.0, 5.0, -10.0]
    learner = qmix([said, [0.0] * 8], (7.0, -1.0))
    first = (1.2 * 3 + 0.5 * 1) / 5 + 0.3
    expected = [1.5 * 2.5 * first + 7.0, 5 * elu(-8.0) - 1.0]
    torch.testing.assert_close(mixed(learner), torch.tensor([expected]))
    learner = qmix([[*said[:6], 5.0, -30.0], [0.0] * 8], (7.0, -1.0))
    second = elu((1.0 * 3 + 1.0 * 1) / 5 - 4.0)
    expected = [1.5 * 2.5 * first + 2.0 * 2.5 * second + 7.0, 5 * elu(-8.0) - 1.0]
    torch.testing.assert_close(mixed(learner), torch.tensor([expected]))


def test_the_networks_that_are_given_mix():
    learner = qmix([[0.0] * 8] * 2)
    others = qmix([[0.0] * 8] * 2, (100.0, 200.0)).networks[1:]
    torch.testing.assert_close(mixed(learner, others), mixed(learner) + torch.tensor([[100.0, 200.0]]))


def test_mixing_is_learned_and_followed_as_values_are():
    learner = learner_of("qmix", mixing_width=3)
    state = learner.state_dict()
    assert [tuple(state[f"networks_{k}"]["0"].shape) for k in range(3)] == [(2, 1, 4), (1, 2, 4 * 3), (1, 2, 3)]
    assert {name for name in state if name.startswith("target_")} == {"target_0", "target_1", "target_2"}
    deep = learner.networks[2]
    assert len(deep.weights) == 2 and deep.weights[1].shape == (1, 3, 1)
    for networks, target in zip(("networks_1", "networks_2"), ("target_1", "target_2"), strict=True):
        assert torch.equal(state[networks]["0"], state[target]["0"])


@pytest.mark.parametrize("algorithm", ["vdn", "idqn"])
def test_who_does_not_mix_by_state_keeps_none(algorithm):
    rows = {name: learner_of(name)._memory.state_dict()["rows"].shape[1] for name in (algorithm, "qmix")}
    assert rows["qmix"] - rows[algorithm] == 2 * 2
