"""Actions follow the distributions that the policy names."""

import numpy as np
import pytest
from gymnasium import spaces

from agora.agents.policy import Batch, Categorical, Decision, Draws, Normal
from agora.agents.sampling import Explore, Sampler
from agora.errors import Refused
from agora.spaces import leaves

ROWS = 20_000


def batch(rows=ROWS, masks=(None,)):
    draws = Draws(1, 0, 0, 0, np.arange(rows, dtype=np.uint32))
    return Batch([], masks, np.zeros((rows, 0), np.uint8), draws)


def repeat(values, rows=ROWS):
    return np.tile(np.asarray(values, np.float32), (rows, 1))


def test_noise_is_a_share_of_the_width_and_clipped_while_log_prob_is_not():
    sampler = Sampler(leaves(spaces.Box(0.0, 4.0, (2,), np.float32)))
    mean = repeat([2.0, 3.9])
    (action,), log_prob = sampler.act(Decision([Normal(mean)]), batch(), Explore(0.1, 0.0))
    assert action.dtype == np.float32 and action.max() <= 4.0
    assert abs(action[:, 0].std() - 0.4) < 0.01
    inside = action[:, 1] < 4.0
    z = (action - mean) / 0.4
    expected = (-0.5 * z**2 - np.log(0.4) - 0.5 * np.log(2 * np.pi)).sum(axis=1)
    assert np.allclose(log_prob[inside], expected[inside], atol=1e-4)
    assert (log_prob[~inside] != expected[~inside]).all()


def test_the_policys_own_spread_adds_to_the_noise():
    sampler = Sampler(leaves(spaces.Box(-50.0, 50.0, (1,), np.float32)))
    head = Normal(repeat([0.0]), repeat([np.log(3.0)]))
    (alone,), _ = sampler.act(Decision([head]), batch(), Explore(0.0, 0.0))
    (both,), _ = sampler.act(Decision([head]), batch(), Explore(0.04, 0.0))
    assert abs(alone.std() - 3.0) < 0.1 and abs(both.std() - 5.0) < 0.15


def test_greedy_is_the_clipped_mean_and_the_legal_mode():
    box = Sampler(leaves(spaces.Box(0.0, 1.0, (2,), np.float32)))
    (action,), log_prob = box.act(Decision([Normal(repeat([-3.0, 0.5], 2))]), batch(2), None)
    assert action.tolist() == [[0.0, 0.5]] * 2 and not log_prob.any()
    choice = Sampler(leaves(spaces.Discrete(3, start=10)))
    mask = np.array([[1, 1, 1], [1, 0, 1]], np.uint8)
    (action,), log_prob = choice.act(Decision([Categorical(repeat([1.0, 3.0, 2.0], 2))]), batch(2, [mask]), None)
    assert action.dtype == np.int64 and action.tolist() == [11, 12] and not log_prob.any()


@pytest.mark.parametrize("temperature", [0.0, 0.5])
def test_choices_are_drawn_from_the_masked_softmax(temperature):
    sampler = Sampler(leaves(spaces.MultiDiscrete([3, 2])))
    logits = np.array([0.0, 1.0, 2.0, -1.0, 1.0], np.float32)
    mask = np.tile(np.array([1, 0, 1, 1, 1], np.uint8), (ROWS, 1))
    (action,), log_prob = sampler.act(
        Decision([Categorical(repeat(logits))]), batch(ROWS, [mask]), Explore(0.0, temperature)
    )
    weights = np.exp(logits / (temperature or 1.0)) * mask[0]
    first, second = weights[:3] / weights[:3].sum(), weights[3:] / weights[3:].sum()
    assert np.allclose(np.bincount(action[:, 0], minlength=3) / ROWS, first, atol=0.02)
    assert np.allclose(np.bincount(action[:, 1], minlength=2) / ROWS, second, atol=0.02)
    assert np.allclose(log_prob, np.log(first[action[:, 0]] * second[action[:, 1]]), atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.3, 1.0])
def test_a_share_of_choices_is_uniform_among_the_legal_ones_and_the_rest_greedy(epsilon):
    sampler = Sampler(leaves(spaces.MultiDiscrete([3, 2])))
    logits = np.array([5.0, 9.0, 2.0, -1.0, 1.0], np.float32)  # the greatest of the first three is not legal
    mask = np.tile(np.array([1, 0, 1, 1, 1], np.uint8), (ROWS, 1))
    decision = Decision([Categorical(repeat(logits))])
    (action,), log_prob = sampler.act(decision, batch(ROWS, [mask]), Explore(0.0, 7.0, epsilon))
    first = np.array([1.0 - epsilon / 2, 0.0, epsilon / 2])
    second = np.array([epsilon / 2, 1.0 - epsilon / 2])
    assert np.allclose(np.bincount(action[:, 0], minlength=3) / ROWS, first, atol=0.02)
    assert np.allclose(np.bincount(action[:, 1], minlength=2) / ROWS, second, atol=0.02)
    assert np.allclose(log_prob, np.log(first[action[:, 0]] * second[action[:, 1]]), atol=1e-5)


def test_empty_slots_do_not_count():
    sampler = Sampler(leaves(spaces.Box(0.0, 1.0, (3,), np.float32)))
    head, mask = Normal(repeat([0.5] * 3, 4)), np.zeros((4, 3), np.uint8)
    mask[:, 0] = 1
    _, some = sampler.act(Decision([head]), batch(4, [mask]), Explore(0.1, 0.0))
    _, every = sampler.act(Decision([head]), batch(4), Explore(0.1, 0.0))
    assert (some != every).all() and np.isfinite(some).all()


def test_bits_and_whole_numbers():
    bits = Sampler(leaves(spaces.MultiBinary(2)))
    (action,), _ = bits.act(Decision([Categorical(repeat([0, 1, 1, 0], 3))]), batch(3), None)
    assert action.dtype == np.int8 and action.tolist() == [[1, 0]] * 3
    lots = Sampler(leaves(spaces.Box(0, 9, (1,), np.int64)))
    (action,), _ = lots.act(Decision([Normal(repeat([3.6], 3))]), batch(3), None)
    assert action.dtype == np.int64 and action.tolist() == [[4]] * 3


def test_an_element_without_room_is_certain():
    fixed = spaces.Box(np.array([0, 1], np.float32), np.array([1, 1], np.float32), dtype=np.float32)
    (action,), log_prob = Sampler(leaves(fixed)).act(
        Decision([Normal(repeat([0.5, 1.0], 5))]), batch(5), Explore(0.1, 0)
    )
    assert (action[:, 1] == 1).all() and np.isfinite(log_prob).all()


@pytest.mark.parametrize("bad", [repeat([np.nan], 3), repeat([0.0, 1.0], 3), np.zeros((3, 1))])
def test_a_bad_output_is_refused(bad):
    sampler = Sampler(leaves(spaces.Box(0.0, 1.0, (1,), np.float32)))
    with pytest.raises(Refused, match=r"MODEL: model\.outputs\.mean"):
        sampler.act(Decision([Normal(bad)]), batch(3), None)


def test_noise_needs_bounds():
    sampler = Sampler(leaves(spaces.Box(-np.inf, np.inf, (1,), np.float32)))
    head = Decision([Normal(repeat([0.5], 3))])
    assert sampler.act(head, batch(3), None)[0][0].tolist() == [[0.5]] * 3
    with pytest.raises(Refused, match="no finite bounds"):
        sampler.act(head, batch(3), Explore(0.1, 0.0))
