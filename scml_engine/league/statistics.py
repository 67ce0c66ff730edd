# SPDX-License-Identifier: AGPL-3.0-or-later
"""Means with confidence intervals that know which values belong together.

The focal factories of one world trade with each other, and what its configuration is worth shows in all of them: their
scores, and also differences of scores between two variants, are no independent draws. Worlds of different seeds are. So
the unit is the world (its seed), and intervals are cluster-robust: around the mean m of n values x_gi in G clusters,

    m ± t(G - 1) · sqrt( G / (G - 1) · Σ_g (Σ_i (x_gi - m))² ) / n,

which is equation 11 of Cameron and Miller, "A Practitioner's Guide to Cluster-Robust Inference", Journal of Human
Resources 50 (2015), for a regression on a constant, with their small-sample factor. With clusters of one value it is
Student's interval; with clusters of one size, Student's interval of the clusters' means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and its 95 % confidence interval.

    Attributes:
        mean: NaN without values.
        low: NaN with fewer than two clusters, as is ``high``.
        high: the upper end.
        n: how many values.
    """

    mean: float
    low: float
    high: float
    n: int


def clustered(values: ArrayLike, clusters: ArrayLike) -> Interval:
    """The mean of values and its interval.

    Args:
        values: float (n,).
        clusters: (n,), labels; equal where values belong together.
    """
    x: NDArray[np.float64] = np.asarray(values, np.float64)
    labels, which = np.unique(np.asarray(clusters), return_inverse=True)
    groups, n = len(labels), len(x)
    if n == 0:
        return Interval(np.nan, np.nan, np.nan, 0)
    mean = float(x.mean())
    if groups < 2:
        return Interval(mean, np.nan, np.nan, n)
    sums = np.bincount(which, weights=x - mean, minlength=groups)
    error = np.sqrt(groups / (groups - 1) * np.sum(sums**2)) / n
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, groups - 1) * error)
    return Interval(mean, mean - half, mean + half, n)
