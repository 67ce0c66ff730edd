"""What a manipulator does to a market and to others: the same market, seed by seed, with it active and with it idle.

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
    """What happened in B markets over T steps, at the end of each.

    Attributes:
        mid: float64 (T, B), ticks.
        worth: float64 (T, B), of a lot, ticks.
        cash: float64 (T, B, agents), less that of the start, ticks times lots.
        shares: float64 (T, B, agents), lots.
        resting: float64 (T, B), lots of the manipulator's bids in the book.
    """

    mid: Floats
    worth: Floats
    cash: Floats
    shares: Floats
    resting: Floats


def displacement(active: Course, idle: Course) -> Floats:
    """Mean of the mid less the undisturbed one while bids of the manipulator rest, ticks (B,); NaN where none did."""
    there = active.resting > 0.0
    moved = np.where(there, active.mid - idle.mid, 0.0).sum(axis=0)
    return np.asarray(np.divide(moved, there.sum(axis=0), out=np.full(moved.shape, np.nan), where=there.any(axis=0)))


def profits(course: Course) -> Floats:
    """What each agent gained by its trades, each marked to what a lot is worth in its step, ticks times lots (B, agents).

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
