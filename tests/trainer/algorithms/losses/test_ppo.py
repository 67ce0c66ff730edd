import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from trainer.algorithms.losses.ppo import (
    clipped_gaussian_log_prob,
    entropy_of_choices,
    entropy_of_gaussian,
    mean_over,
    normalised,
    policy_loss,
    value_loss,
)

ALL = torch.ones(1, 4, dtype=torch.float64)


def row(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_means_count_masked_rows_only():
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    assert mean_over(torch.tensor([[3.0, 5.0], [7.0, 9.0]]), mask).tolist() == [3.0, 0.0]


def test_normalised_advantages_have_mean_zero_and_deviation_one():
    got = normalised(torch.tensor([[1.0, 9.0, 100.0], [2.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 0.0]] * 2))
    assert got[0].tolist() == pytest.approx([-1.0, 1.0, 0.0], abs=1e-4)
    assert got[1].tolist() == [0.0, 0.0, 0.0]


def test_policy_loss_by_hand():
    # Ratios 1.5, 1.5, 0.5, 0.5 with Â = 2, -2, 2, -2: min(3, 2.4), min(-3, -2.4), min(1, 1.6), min(-1, -1.6).
    log_prob = row(*np.log([0.6, 0.6, 0.2, 0.2]))
    old, advantages = torch.full_like(log_prob, math.log(0.4)), row(2.0, -2.0, 2.0, -2.0)
    assert policy_loss(log_prob, old, advantages, ALL, 0.2).item() == pytest.approx(-(2.4 - 3.0 + 1.0 - 1.6) / 4)
    mask = row(1.0, 0.0, 1.0, 0.0)
    assert policy_loss(log_prob, old, advantages, mask, 0.2).item() == pytest.approx(-(2.4 + 1.0) / 2)


def test_policy_loss_pushes_only_within_the_clip():
    log_prob = row(*np.log([0.6, 0.6, 0.2, 0.2])).requires_grad_()
    old = torch.full((1, 4), math.log(0.4), dtype=torch.float64)
    policy_loss(log_prob, old, row(2.0, -2.0, 2.0, -2.0), ALL, 0.2).sum().backward()
    assert log_prob.grad[0].tolist() == pytest.approx([0.0, 0.75, -0.25, 0.0])  # -ρ Â / 4 where not clipped


def test_value_loss_by_hand():
    # V 1, V_old 0, so near is 0.2. Target 0: max(0.5, 0.02). Target 2: max(0.5, 1.62). Target 5, δ 2: h(4) = 6 and
    # h(4.8) = 7.6. Masked: nothing.
    losses = [value_loss(row(1.0), row(0.0), row(t), row(1.0), 0.2, 2.0).item() for t in (0.0, 2.0, 5.0)]
    assert losses == pytest.approx([0.5, 1.62, 7.6])
    assert value_loss(row(1.0), row(0.0), row(5.0), row(0.0), 0.2, 2.0).item() == 0.0


def test_entropies_equal_scipys():
    odds = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]])
    got = entropy_of_choices(torch.from_numpy(odds).log())
    np.testing.assert_allclose(got, stats.entropy(odds, axis=1), rtol=1e-12)
    got = entropy_of_gaussian(torch.tensor([0.3, -1.0], dtype=torch.float64))
    np.testing.assert_allclose(got, stats.norm(scale=np.exp([0.3, -1.0])).entropy(), rtol=1e-12)


def test_a_choice_that_cannot_be_adds_no_entropy():
    log_probs = torch.tensor([0.0, -1e9, -1e9]).log_softmax(dim=0)
    assert log_probs.exp().tolist() == [1.0, 0.0, 0.0]
    assert entropy_of_choices(log_probs).item() == 0.0


@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.5), (-2.0, 0.4), (1.0, 3.0)])
def test_probabilities_of_a_clipped_gaussian_sum_to_one(mean, std):
    def probability(x):
        arguments = [torch.tensor(value, dtype=torch.float64) for value in (x, mean, math.log(std), -1.0, 1.0)]
        return clipped_gaussian_log_prob(*arguments).exp().item()

    inside, _ = integrate.quad(probability, -1.0 + 1e-12, 1.0 - 1e-12, epsabs=1e-10)
    assert inside + probability(-1.0) + probability(1.0) == pytest.approx(1.0, abs=1e-8)
    assert probability(-1.0) == pytest.approx(stats.norm.cdf(-1.0, mean, std), rel=1e-12)
    assert probability(1.0) == pytest.approx(stats.norm.sf(1.0, mean, std), rel=1e-12)
    assert probability(0.2) == pytest.approx(stats.norm.pdf(0.2, mean, std), rel=1e-12)


def test_a_gaussian_without_bounds_is_one():
    x = torch.tensor([-3.0, 0.0, 8.0])
    most = torch.tensor(torch.finfo(torch.float32).max)
    got = clipped_gaussian_log_prob(x, torch.tensor(1.0), torch.tensor(0.7), -most, most)
    np.testing.assert_allclose(got, stats.norm(1.0, np.exp(0.7)).logpdf(x), rtol=1e-6)


def test_far_tails_keep_finite_gradients():
    mean = torch.tensor([50.0, -50.0, 50.0], requires_grad=True)
    x = torch.tensor([0.0, 1.0, 1.0])
    clipped_gaussian_log_prob(x, mean, torch.tensor(-1.0), torch.tensor(0.0), torch.tensor(1.0)).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert mean.grad.tolist() == pytest.approx([-50 * math.e**2, 51 * math.e**2, 0.0], rel=1e-2)


def central_differences(loss, x, width=1e-6):
    gradient = torch.empty_like(x)
    for i in np.ndindex(*x.shape):
        ends = [x.clone(), x.clone()]
        ends[0][i] -= width
        ends[1][i] += width
        gradient[i] = (loss(ends[1]) - loss(ends[0])) / (2 * width)
    return gradient


@pytest.mark.parametrize("name", ["policy", "value", "density", "choices"])
def test_gradients_equal_central_differences(name):
    draws = torch.Generator().manual_seed(3)
    x, y, z = (torch.randn(2, 7, generator=draws, dtype=torch.float64) for _ in range(3))
    mask = (torch.rand(2, 7, generator=draws) < 0.7).double()
    bounds = torch.tensor(-0.5, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
    loss = {
        "policy": lambda v: policy_loss(v, x + 0.3 * y, z, mask, 0.2).sum(),
        "value": lambda v: value_loss(v, x + 0.3 * y, z, mask, 0.2, 0.5).sum(),
        "density": lambda v: clipped_gaussian_log_prob(y.clamp(*bounds), v, 0.1 * v, *bounds).sum(),
        "choices": lambda v: entropy_of_choices(v.log_softmax(dim=-1)).sum(),
    }[name]
    point = x.clone().requires_grad_()
    loss(point).backward()
    torch.testing.assert_close(point.grad, central_differences(loss, x), rtol=1e-6, atol=1e-7)
