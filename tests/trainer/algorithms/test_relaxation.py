"""Straight-through Gumbel-softmax against closed forms."""

import math

import pytest
import torch

from trainer.algorithms.relaxation import masked, one_hot, standard_gumbel, straight_through


def test_masked_leaves_legal_logits_and_puts_the_others_below_all():
    logits = torch.tensor([[3.0, -50.0, 1.0]])
    found = masked(logits, torch.tensor([[0.0, 1.0, 1.0]]))
    assert found[0, 1:].tolist() == [-50.0, 1.0]
    assert found[0, 0] < -1e8
    assert masked(torch.tensor([-1e6, 0.0]), torch.tensor([1.0, 0.0])).argmax() == 0


def test_one_hot_is_the_most_likely_of_each_part():
    logits = torch.tensor([[0.0, 2.0, 5.0, 4.0, 3.0, 9.0], [7.0, 2.0, 1.0, 4.0, 6.0, -9.0]])
    found = one_hot(logits[:, None], (2, 3, 1))
    assert found.tolist() == [[[0, 1, 1, 0, 0, 1]], [[1, 0, 0, 0, 1, 1]]]
    assert found.dtype == torch.float32


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_values_are_one_hot_and_slopes_those_of_the_softmax(temperature):
    """d softmax(z / τ)_k / dz_j = p_k (δ_kj - p_j) / τ with z = logits + noise, within each part."""
    logits = torch.tensor([[[0.3, -0.2, 1.0, 0.4, -0.7]]], dtype=torch.float64, requires_grad=True)
    gumbel = torch.tensor([[0.1, 0.9, -1.0, 0.5, 0.2]], dtype=torch.float64)
    drawn = straight_through(logits, (2, 3), temperature, gumbel)
    torch.testing.assert_close(drawn, torch.tensor([[[0.0, 1, 0, 1, 0]]], dtype=torch.float64))
    weights = torch.tensor([[2.0, -1.0, 0.5, 3.0, 1.0]], dtype=torch.float64)
    (drawn * weights).sum().backward()
    z = (logits + gumbel).detach()[0, 0].tolist()
    expected = []
    for part in ([0, 1], [2, 3, 4]):
        total = sum(math.exp(z[j] / temperature) for j in part)
        p = {j: math.exp(z[j] / temperature) / total for j in part}
        for j in part:
            slope = sum(float(weights[0, k]) * p[k] * ((k == j) - p[j]) for k in part)
            expected.append(slope / temperature)
    torch.testing.assert_close(logits.grad[0, 0], torch.tensor(expected, dtype=torch.float64))


def test_gumbel_draws_have_their_distribution():
    """Mean γ, variance π²/6, and P(G < g) = exp(-exp(-g))."""
    many = 200_000
    found = standard_gumbel(torch.empty(many), torch.Generator().manual_seed(0))
    assert float(found.mean()) == pytest.approx(0.5772157, abs=0.015)
    assert float(found.var()) == pytest.approx(math.pi**2 / 6, rel=0.02)
    for g in (-1.0, 0.0, 2.0):
        assert float((found < g).float().mean()) == pytest.approx(math.exp(-math.exp(-g)), abs=0.006)


def test_gumbel_draws_are_finite_and_the_generators(monkeypatch):
    like = torch.empty(2, 3)
    one, same, other = (standard_gumbel(like, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == (2, 3) and torch.equal(one, same) and not torch.equal(one, other)
    monkeypatch.setattr(torch, "rand", lambda shape, generator: torch.zeros(shape))
    lowest = standard_gumbel(like, torch.Generator())
    assert torch.isfinite(lowest).all() and (lowest < -4).all()
