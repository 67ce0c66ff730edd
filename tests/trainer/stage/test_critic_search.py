"""How critics are searched, by steps that can be counted, and what a verdict says where something is nothing."""

import numpy as np
import pytest

from trainer.stage.equilibrium import Verification, ani, critic_best_responses

LOW, HIGH = np.array([-1.0, 10.0], np.float32), np.array([1.0, 30.0], np.float32)


def search(values, actions, starts=()):
    actions = np.asarray(actions, np.float32)
    starts = np.asarray(starts, np.float32).reshape(len(actions), -1, actions.shape[1])
    return critic_best_responses(values, actions, LOW[: actions.shape[1]], HIGH[: actions.shape[1]], starts)


def test_fifty_steps_that_shrink_evenly():
    """On a slope, Adam's step is its rate: a tenth of the bounds at first, then 1/51 of that less each time."""
    points = []

    def values(own):
        points.append(own.detach().numpy()[0, :, 0].copy())
        return own[..., 0] * 3.0

    found = search(values, [[-1.0]], [[-1.0], [0.5]])
    assert len(points) == 51
    steps = 2.0 * 0.1 * (1.0 - np.arange(50) / 51)
    expected = np.minimum(-1.0 + np.concatenate([[0.0], np.cumsum(steps)]), 1.0)
    np.testing.assert_allclose(np.array(points)[:, 0], expected, atol=1e-5)
    assert found.actions[0, 0] == 1.0 and found.gains[0] == pytest.approx(6.0, rel=1e-6)


def adam(peak, start):
    """Fifty steps on -(x - peak)² from one start, in the bounds' units (Kingma and Ba 2015, algorithm 1)."""
    x, m, v = np.array(start, float), 0.0, 0.0
    best, height = x, -np.inf
    for step in range(51):
        if -np.square(x - peak).sum() > height:
            best, height = x, -np.square(x - peak).sum()
        slope = 2.0 * (x - peak)
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        right, spread = m / (1.0 - 0.9 ** (step + 1)), np.sqrt(v / (1.0 - 0.999 ** (step + 1)))
        x = np.clip(x - 0.1 * (1.0 - step / 51) * right / (spread + 1e-8), 0.0, 1.0)
    return best


@pytest.mark.parametrize("seed", range(5))
def test_the_search_is_adams_from_wherever_it_starts(seed):
    """From one start such a search misses by up to 0.04 of the bounds; from many it does not, see below."""
    peak, now = np.random.default_rng(seed).uniform(LOW, HIGH, (2, 2, 2)).astype(np.float32)

    def values(own):
        return -((own - own.new_tensor(peak)[:, None]) / own.new_tensor(HIGH - LOW)).square().sum(dim=2)

    found = search(values, now)
    for i in range(2):
        expected = adam((peak[i] - LOW) / (HIGH - LOW), (now[i] - LOW) / (HIGH - LOW))
        np.testing.assert_allclose((found.actions[i] - LOW) / (HIGH - LOW), expected, atol=1e-4)


def test_bounds_may_lie_anywhere():
    peak = np.array([[0.4, 12.0], [-0.7, 28.5]], np.float32)

    def values(own):
        away = (own - own.new_tensor(peak)[:, None]) / own.new_tensor([2.0, 20.0])
        return -away.square().sum(dim=2)

    starts = np.random.default_rng(0).uniform(LOW, HIGH, (2, 20, 2))
    found = search(values, [[0.0, 20.0], [0.9, 11.0]], starts)
    np.testing.assert_allclose((found.actions - peak) / [2.0, 20.0], 0.0, atol=5e-3)
    gains = np.square((peak - [[0.0, 20.0], [0.9, 11.0]]) / [2.0, 20.0]).sum(axis=1)
    np.testing.assert_allclose(found.gains, gains, atol=1e-3)


def test_the_best_point_on_the_way_is_kept():
    """A needle that the search stands on at first and leaves, for slopes lead elsewhere."""

    def values(own):
        return own[..., 0] * 0.1 + ((own - 0.3).abs() < 1e-6).float()[..., 0] * 5.0

    found = search(values, [[0.3]])
    assert found.actions[0, 0] == pytest.approx(0.3, abs=1e-6) and found.gains[0] == 0.0
    found = search(values, [[-0.5]], [[0.3]])
    assert found.actions[0, 0] == pytest.approx(0.3, abs=1e-6)
    assert found.gains[0] == pytest.approx(5.0 + 0.08, rel=1e-5)


def test_gains_are_over_the_current_action_and_not_over_another_start():
    found = search(lambda own: own[..., 0], [[0.25], [-0.5]], [[[1.0]], [[0.9]]])
    np.testing.assert_allclose(found.gains, [0.75, 1.5], rtol=1e-6)


def verdict(payoffs, best, estimated=0.0):
    payoffs, best = np.array(payoffs), np.array(best)
    return Verification(np.zeros((len(payoffs), 1)), payoffs, np.zeros((len(payoffs), 1)), best, estimated, 1)


@pytest.mark.parametrize(
    ("payoffs", "best", "estimated", "relative", "relative_estimated", "ratio"),
    [
        ([0.25, -0.25], [0.5, -0.25], 0.125, 0.5, 0.25, 2.0),
        ([1.0, 1.0], [1.0, 1.0], 0.0, 0.0, 0.0, 0.0),
        ([1.0, 1.0], [2.0, 1.0], 0.0, 0.5, 0.0, np.inf),
        ([0.0, 0.0], [1.0, 0.0], 0.5, np.inf, np.inf, 2.0),
        ([0.0, 0.0], [0.0, 0.0], 0.5, 0.0, np.inf, 0.0),
    ],
)
def test_shares_of_nothing(payoffs, best, estimated, relative, relative_estimated, ratio):
    found = verdict(payoffs, best, estimated)
    assert (found.relative, found.relative_estimated, found.ratio) == (relative, relative_estimated, ratio)


@pytest.mark.parametrize(
    ("payoffs", "best", "expected"),
    [([0.2], [0.4], 0.5), ([-1.0], [2.0], -0.5), ([-2.0], [-2.0], 1.0), ([-2.0], [-1.0], 0.0), ([0.0], [0.0], 1.0)],
)
def test_the_nash_index_of_small_payoffs_and_of_losses(payoffs, best, expected):
    assert ani(np.array(payoffs), np.array(best)) == pytest.approx(expected)
