"""What a manipulator does to a market and to others: the same market, seed by seed, with it active and without.

Random numbers are keyed by market, step and agent, so what differs between the two is what the manipulator caused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Course:
    """What happened in B markets over T steps, at the end of each, to parties of one or more agents.

    Attributes:
        mid: float64 (T, B), ticks.
        worth: float64 (T, B), of a lot, ticks.
        resting: float64 (T, B), lots of the manipulator's bids in the book.
        cash: float64 (T, B, parties), less that of the start, ticks times lots.
        shares: float64 (T, B, parties), lots.
    """

    mid: Floats
    worth: Floats
    resting: Floats
    cash: Floats
    shares: Floats


def displacement(active: Course, without: Course, when: NDArray[np.bool_]) -> Floats:
    """Mean difference of two courses' mids, ticks (B,); NaN where there is no step to compare.

    Args:
        active: with the manipulation.
        without: the same seeds.
        when: (T, B), the steps that are compared.
    """
    moved, steps = np.where(when, active.mid - without.mid, 0.0).sum(axis=0), when.sum(axis=0)
    return np.asarray(np.divide(moved, steps, out=np.full(moved.shape, np.nan), where=steps > 0))


def profits(course: Course) -> Floats:
    """What each party gained by its trades, each marked to what a lot is worth then, ticks times lots (B, parties).

    As everybody's trades sum to nothing, so do these, but for fees. Holding what rises or falls counts for nothing.

    Args:
        course: that begins without shares.
    """
    bought = np.diff(course.shares, axis=0, prepend=np.zeros_like(course.shares[:1]))
    return np.asarray(course.cash[-1] + (bought * course.worth[:, :, None]).sum(axis=0))


def interval(values: Floats) -> tuple[float, float]:
    """The 95 % interval of a mean, by Student's distribution.

    Args:
        values: (n,), one per seed, n >= 2.
    """
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half
