"""Intervals against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from scml_engine.league.statistics import clustered


def students(values):
    interval = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    return pytest.approx((np.mean(values), interval.low, interval.high))


def test_single_values_give_students_interval():
    values = np.random.default_rng(0).normal(1.0, 0.3, 17)
    assert clustered(values, np.arange(17))[:3] == students(values)


def test_clusters_of_one_size_give_students_interval_of_their_means():
    values = np.random.default_rng(1).normal(size=(9, 3)) + np.random.default_rng(2).normal(size=(9, 1))
    mean, low, high, n = clustered(values.ravel(), np.repeat(np.arange(9), 3))
    assert (mean, low, high) == students(values.mean(axis=1))
    assert n == 27


def test_unequal_clusters_by_hand():
    # Clusters {0, 2}, {4}, {3, 3, 0}: m = 2, sums of deviations -2, 2, 0, so the error is sqrt(3/2 · 8) / 6 = 1/√3.
    # Student's t with two degrees of freedom has the closed quantile (2p - 1) / sqrt(2 p (1 - p)).
    t = 0.95 / math.sqrt(2 * 0.975 * 0.025)
    found = clustered([0, 2, 4, 3, 3, 0], ["a", "a", "b", "c", "c", "c"])
    assert found == pytest.approx((2.0, 2 - t / math.sqrt(3), 2 + t / math.sqrt(3), 6))


def test_copies_of_a_value_add_no_certainty():
    values = np.random.default_rng(3).normal(size=12)
    once = clustered(values, np.arange(12))
    assert clustered(np.repeat(values, 4), np.repeat(np.arange(12), 4))[:3] == pytest.approx(once[:3])


def test_too_few_to_say():
    mean, low, high, n = clustered([1.0, 2.0], [5, 5])
    assert (mean, n) == (1.5, 2)
    assert math.isnan(low)
    assert math.isnan(high)
    assert math.isnan(clustered([], []).mean)
