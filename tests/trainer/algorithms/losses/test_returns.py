import numpy as np
import pytest
import torch

from trainer.algorithms.losses.returns import generalised_advantages

GAMMA, LAM = 0.9, 0.8


def flags(steps, *true):
    return torch.tensor([[t in true] for t in range(steps)])


def column(*values):
    return torch.tensor(values, dtype=torch.float64)[:, None]


def advantages(r, v, terminated=(), truncated=(), idle=()):
    steps = len(r)
    found = generalised_advantages(
        column(*r),
        column(*v),
        flags(steps, *terminated),
        flags(steps, *truncated),
        ~flags(steps, *idle),
        GAMMA,
        LAM,
    )
    return [array[:, 0].tolist() for array in found]


def test_an_open_end_is_bootstrapped_by_hand():
    # δ = 1 + 0.9·20 - 10 = 9 and 2 + 0.9·30 - 20 = 9; Â_0 = 9 + 0.72·9.
    got, targets = advantages([1.0, 2.0], [10.0, 20.0, 30.0])
    assert got == pytest.approx([15.48, 9.0])
    assert targets == pytest.approx([25.48, 29.0])


def test_termination_stops_and_truncation_bootstraps_by_hand():
    stopped, _ = advantages([1.0, 2.0], [10.0, 20.0, 30.0], terminated=[0])
    assert stopped == pytest.approx([-9.0, 9.0])
    cut, _ = advantages([1.0, 2.0], [10.0, 20.0, 30.0], truncated=[0])
    assert cut == pytest.approx([9.0, 9.0])


def test_steps_without_a_decision_belong_to_the_decision_before():
    # From step 0 to step 2: 1 + 0.9·2 + 0.81·V_2 - V_0 = 1 + 1.8 + 24.3 - 10 = 17.1, whatever V_1 is;
    # δ_2 = 3 + 0.9·40 - 30 = 9, so Â_0 = 17.1 + 0.9·0.72·9.
    for irrelevant in (-100.0, 100.0):
        got, _ = advantages([1.0, 2.0, 3.0], [10.0, irrelevant, 30.0, 40.0], idle=[1])
        assert got[0] == pytest.approx(17.1 + 0.648 * 9)
        assert got[2] == pytest.approx(9.0)


def test_what_follows_a_cut_in_the_same_arrays_changes_nothing():
    before, _ = advantages([1.0, 2.0, 5.0], [10.0, 20.0, 30.0, 40.0], truncated=[0], idle=[1, 2])
    assert before[0] == pytest.approx(1.0 + 0.9 * 20.0 - 10.0)


def by_definition(r, v, terminated, truncated, decided, t):
    """Â_t as the average of n-step advantages with weights (1 - λ) λ^(n-1), the last one getting the rest.

    Only decisions are counted for n; what is earned until the next one is discounted step by step.
    """
    total, weight, gain, discount = 0.0, 1.0, -v[t], 1.0
    for n in range(t, len(r)):
        gain += discount * r[n]
        discount *= GAMMA
        tail = 0.0 if terminated[n] else discount * v[n + 1]
        if terminated[n] or truncated[n] or n == len(r) - 1:
            return total + weight * (gain + tail)
        if decided[n + 1]:
            total += weight * (1.0 - LAM) * (gain + tail)
            weight *= LAM
    raise AssertionError


@pytest.mark.parametrize("share", [1.0, 0.6, 0.2], ids=["all decide", "most decide", "few decide"])
def test_equals_the_average_of_n_step_returns(share):
    draws = np.random.default_rng(1)
    r, v = draws.normal(size=(12, 20)), draws.normal(size=(13, 20))
    terminated, truncated = draws.random((2, 12, 20)) < 0.15
    decided = draws.random((12, 20)) < share
    arrays = [torch.from_numpy(array) for array in (r, v, terminated, truncated, decided)]
    got, targets = generalised_advantages(*arrays, GAMMA, LAM)
    for t, b in np.argwhere(decided):
        expected = by_definition(*(array[:, b] for array in (r, v, terminated, truncated, decided)), t)
        assert float(got[t, b]) == pytest.approx(expected, rel=1e-12, abs=1e-12)
        assert float(targets[t, b]) == pytest.approx(expected + v[t, b], rel=1e-12, abs=1e-12)


def test_a_reward_that_comes_while_others_decide_is_not_lost():
    """The last decision of a game of turns: the other's move ends it, and the loser is paid then."""
    got, targets = advantages([0.0, -1.0], [0.25, 9.0, 9.0], terminated=[1], idle=[1])
    assert got[0] == pytest.approx(-GAMMA - 0.25) and targets[0] == pytest.approx(-GAMMA)
