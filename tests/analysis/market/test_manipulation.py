"""Courses of three steps whose displacement and profits are known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.market.manipulation import Course, displacement, interval, profits

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market


def course(mid: list[float], cash: list[float], shares: list[float], resting: list[float]) -> Course:
    """One market with two agents, the second of whom trades against the first."""

    def both(first: list[float]) -> np.ndarray:
        return np.array([[[value, -value]] for value in first])

    worth = np.array([[100.0], [102.0], [101.0]])
    return Course(np.array(mid)[:, None], worth, np.array(resting)[:, None], both(cash), both(shares))


IDLE = course([100.0, 102.0, 101.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0])
# Buys two lots at 101, keeps a bid while the mid is 104 and 105, sells one lot at 104 in the last step.
ACTIVE = course([100.0, 104.0, 105.0], [-202.0, -202.0, -98.0], [2.0, 2.0, 1.0], [0.0, 200.0, 150.0])


def test_the_mid_is_compared_in_the_steps_that_are_asked_for() -> None:
    assert displacement(ACTIVE, IDLE, ACTIVE.resting > 0.0) == pytest.approx([((104 - 102) + (105 - 101)) / 2])
    assert np.isnan(displacement(ACTIVE, IDLE, IDLE.resting > 0.0)).all()


def test_trades_are_marked_to_what_a_lot_is_worth_in_their_step() -> None:
    # Two lots bought for one tick more than they were worth, one sold for three more.
    gained = 2 * (100 - 101) + (104 - 101)
    assert profits(ACTIVE) == pytest.approx(np.array([[gained, -gained]]))
    assert not profits(IDLE).any()


def test_an_interval_is_students() -> None:
    # Mean 2, standard deviation 1, t(0.975, 2) = 4.30265.
    assert interval(np.array([1.0, 2.0, 3.0])) == pytest.approx((2 - 4.30265 / 3**0.5, 2 + 4.30265 / 3**0.5), abs=1e-5)
