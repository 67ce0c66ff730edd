"""Estimators against distributions whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.market import statistics as of

DRAWS = np.random.default_rng(0)
COUNT = 200_000


def arfima(d: float, count: int) -> np.ndarray:
    """Fractional noise: white noise through the expansion of (1 - L)^-d; its autocorrelation goes as lag^(2d - 1)."""
    numbers = np.arange(1, count)
    weights = np.concatenate([[1.0], np.cumprod((numbers - 1 + d) / numbers)])
    noise = np.random.default_rng(1).standard_normal(2 * count)
    size = 4 * count
    return np.fft.irfft(np.fft.rfft(weights, size) * np.fft.rfft(noise, size), size)[count : 2 * count]


def test_returns_over_steps_do_not_overlap() -> None:
    prices = np.exp([0.0, 0.1, 0.3, 0.2, 0.6])
    assert of.log_returns(prices) == pytest.approx([0.1, 0.2, -0.1, 0.4])
    assert of.log_returns(prices, 2) == pytest.approx([0.3, 0.3])


def test_autocorrelation_of_a_series_by_hand() -> None:
    # 1, -1, 1, -1: products at lag 1 are -1, -1, -1, at lag 2 they are 1, 1, over a sum of squares of 4.
    assert of.autocorrelation(np.array([1.0, -1.0, 1.0, -1.0]), [1, 2]) == pytest.approx([-0.75, 0.5])
    assert of.autocorrelation(np.ones(5), [1]).tolist() == [0.0]


def test_autocorrelation_of_a_first_order_process_is_a_power() -> None:
    noise, series = DRAWS.standard_normal(COUNT), np.zeros(COUNT)
    for number in range(1, COUNT):
        series[number] = 0.7 * series[number - 1] + noise[number]
    assert of.autocorrelation(series, [1, 3]) == pytest.approx([0.7, 0.343], abs=0.02)
    assert of.ljung_box(series, 10) < 1e-6 < of.ljung_box(noise, 10)


def test_clustered_volatility_is_no_autocorrelation() -> None:
    def rejects(series: np.ndarray) -> bool:
        return of.ljung_box(series, 5) < 0.05

    noise, clustered = DRAWS.standard_normal((400, 1_000)), np.zeros((400, 1_000))
    for step in range(1, 1_000):
        clustered[:, step] = np.sqrt(0.5 + 0.5 * clustered[:, step - 1] ** 2) * noise[:, step]
    # A test at 5 % rejects 20 of 400 series by chance (standard deviation 4.4), whatever their variances do.
    assert 5 <= sum(map(rejects, noise)) <= 38
    assert 5 <= sum(map(rejects, clustered)) <= 38


def test_tails() -> None:
    assert of.excess_kurtosis(DRAWS.laplace(size=COUNT)) == pytest.approx(3.0, abs=0.3)
    assert of.excess_kurtosis(np.ones(9)) == 0.0
    assert of.hill(1.0 + DRAWS.pareto(3.0, COUNT)) == pytest.approx(3.0, rel=0.05)
    assert of.hill(np.array([0.0] * 100)) == math.inf
    assert of.jarque_bera(DRAWS.standard_normal(COUNT)) > 0.001 > of.jarque_bera(DRAWS.laplace(size=1000))


def test_engle_sees_variance_that_depends_on_the_past() -> None:
    noise, series = DRAWS.standard_normal(5_000), np.zeros(5_000)
    for number in range(1, len(series)):
        series[number] = math.sqrt(0.5 + 0.5 * series[number - 1] ** 2) * noise[number]
    assert of.arch_lm(series, 5) < 1e-6 and of.arch_lm(noise, 5) > 0.001
    assert of.arch_lm(np.ones(100), 5) == 1.0


@pytest.mark.parametrize("d", [0.2, 0.3])
def test_the_decay_of_a_fractional_process(d: float) -> None:
    lags = np.unique(np.geomspace(1, 100, 20).astype(np.int64))
    assert of.decay_exponent(arfima(d, COUNT), lags) == pytest.approx(1.0 - 2.0 * d, abs=0.08)


def test_a_series_without_memory_has_no_decay() -> None:
    assert math.isnan(of.decay_exponent(np.tile([1.0, -1.0], 500), np.array([1, 2, 3])))


def test_correlation() -> None:
    assert of.correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])) == pytest.approx(1.0)
    assert of.correlation(np.ones(3), np.arange(3.0)) == 0.0


@pytest.mark.parametrize("delta", [0.5, 1.0])
def test_impact(delta: float) -> None:
    flow = np.rint(20.0 * DRAWS.standard_normal(COUNT))
    moves = np.sign(flow) * np.abs(flow) ** delta + DRAWS.standard_normal(COUNT)
    assert of.impact_exponent(flow, moves) == pytest.approx(delta, abs=0.03)
    assert math.isnan(of.impact_exponent(flow, -moves))
