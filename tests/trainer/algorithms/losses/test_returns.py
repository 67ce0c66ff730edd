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


def by_definition(r, v, terminated, truncated, t):
    """Â_t as the average of n-step advantages with weights (1 - λ) λ^(n-1), the last one getting the rest."""
    total, weight, gain, discount = 0.0, 1.0, -v[t], 1.0
    for n in range(t, len(r)):
        gain += discount * r[n]
        discount *= GAMMA
        tail = 0.0 if terminated[n] else discount * v[n + 1]
        if terminated[n] or truncated[n] or n == len(r) - 1:
            return total + weight * (gain + tail)
        total += weight * (1.0 - LAM) * (gain + tail)
        weight *= LAM
    raise AssertionError


def test_equals_the_average_of_n_step_returns():
    draws = np.random.default_rng(1)
    r, v = draws.normal(size=(12, 5)), draws.normal(size=(13, 5))
    terminated, truncated = draws.random((2, 12, 5)) < 0.15
    arrays = [torch.from_numpy(array) for array in (r, v, terminated, truncated)]
    got, targets = generalised_advantages(*arrays, torch.ones(12, 5, dtype=torch.bool), GAMMA, LAM)
    expected = [
        [by_definition(r[:, b], v[:, b], terminated[:, b], truncated[:, b], t) for b in range(5)] for t in range(12)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    np.testing.assert_allclose(targets, expected + v[:-1], rtol=1e-12)
