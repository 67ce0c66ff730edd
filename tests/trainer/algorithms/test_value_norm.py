import numpy as np
import pytest
import torch

from trainer.algorithms.value_norm import ValueNorm

DRAWS = np.random.default_rng(0)


def test_one_batch_gives_its_own_statistics():
    returns = DRAWS.normal([[5000.0], [-3.0]], [[20.0], [0.5]], size=(2, 1000)).astype(np.float32)
    norm = ValueNorm(2, 0.99)
    norm.update(torch.from_numpy(returns), torch.ones(2, 1000))
    np.testing.assert_allclose(norm.mean[:, 0], returns.mean(axis=1, dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(norm.std[:, 0], returns.std(axis=1, dtype=np.float64), rtol=1e-5)
    scaled = norm.normalise(torch.from_numpy(returns))
    np.testing.assert_allclose(scaled.mean(dim=1), 0.0, atol=1e-3)
    np.testing.assert_allclose(scaled.std(dim=1), 1.0, rtol=1e-3)
    np.testing.assert_allclose(norm.denormalise(scaled), returns, rtol=1e-5)


def test_several_batches_count_by_their_age():
    keep, batches = 0.8, DRAWS.normal(size=(6, 1, 50)).astype(np.float32)
    norm = ValueNorm(1, keep)
    for batch in batches:
        norm.update(torch.from_numpy(batch), torch.ones(1, 50))
    ages = np.repeat(keep ** np.arange(5, -1, -1), 50)
    mean = np.average(batches.ravel(), weights=ages)
    variance = np.average((batches.ravel() - mean) ** 2, weights=ages)
    np.testing.assert_allclose([norm.mean.item(), norm.std.item() ** 2], [mean, variance], rtol=1e-5)


def test_rows_that_do_not_count_change_nothing():
    norm = ValueNorm(2, 0.9)
    assert norm.normalise(torch.tensor([[3.0], [4.0]])).tolist() == [[3.0], [4.0]]
    norm.update(torch.tensor([[1.0, 3.0, 99.0], [7.0, 8.0, 9.0]]), torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
    assert norm.mean.tolist() == [[2.0], [0.0]]
    assert norm.std.tolist() == [[1.0], [1.0]]
    other = ValueNorm(2, 0.9)
    other.load_state_dict(norm.state_dict())
    assert torch.equal(other.normalise(torch.ones(2, 1)), norm.normalise(torch.ones(2, 1)))


def test_batches_count_alike_whatever_their_sizes_even_one_row():
    norm = ValueNorm(1, 0.5)
    norm.update(torch.full((1, 99), 8.0), torch.ones(1, 99))
    norm.update(torch.tensor([[2.0, 50.0]]), torch.tensor([[1.0, 0.0]]))
    # A third of what counts is 8 and two thirds are 2: mean 4, variance 64 / 3 + 4 * 2 / 3 - 16 = 8.
    assert norm.mean.item() == pytest.approx(4.0) and norm.std.item() == pytest.approx(8.0**0.5, rel=1e-6)


def test_returns_that_never_differ_have_a_least_spread():
    norm = ValueNorm(1, 0.9)
    norm.update(torch.full((1, 5), 3.0), torch.ones(1, 5))
    assert norm.std.item() == pytest.approx(1e-4)
    assert norm.normalise(torch.tensor([[3.0]])).item() == pytest.approx(0.0)
