"""What is compared: the same markets but for the manipulator, whose figures are its own."""

from __future__ import annotations

import pytest

from bench.spoofing import MANIPULATOR, Scene, Target
from env_server.environments.market.config import Crowd, Worth

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

SCENE = Scene(
    Crowd(style="spoofer", activity=1.0, least=1, most=1, holding=4, period=200, noise=0.0, take=1.0),
    Crowd(style="zero_intelligence", count=20, activity=0.1),
    (Crowd(style="book_reader", count=10, activity=0.1),),
    Worth(),
    400,
)


def test_nothing_is_made_or_lost_and_who_is_idle_does_nothing() -> None:
    active, idle = SCENE.played(3), SCENE.played(3, activity=0.0)
    for course in (active, idle):
        assert not course.cash.sum(axis=2).any() and not course.shares.sum(axis=2).any()
    assert active.shares[:, :, MANIPULATOR].any() and active.resting.max() == 200.0
    assert not idle.shares[:, :, MANIPULATOR].any() and not idle.resting.any()
    assert (active.worth == idle.worth).all()


def test_without_its_bid_a_spoofer_differs_from_the_first_bid_on() -> None:
    active, plain = SCENE.played(3), SCENE.played(3, spoof=0)
    assert not plain.resting.any()
    # Bids are first sent in step 100, which is the 100th row; others see them from then on.
    assert (active.mid[:99] == plain.mid[:99]).all() and (active.mid != plain.mid).any()
    assert (active.shares[:99] == plain.shares[:99]).all()


@pytest.mark.parametrize(
    ("target", "interval", "met"),
    [
        (Target("> 2", least=2.0), (2.1, 3.0), True),
        (Target("> 2", least=2.0), (1.9, 3.0), False),
        (Target("within 0.5", -0.5, 0.5), (-0.4, 0.4), True),
        (Target("within 0.5", -0.5, 0.5), (-0.4, 0.6), False),
        (Target("told"), (-9.0, 9.0), True),
    ],
)
def test_targets_hold_for_intervals(target: Target, interval: tuple[float, float], met: bool) -> None:
    assert target.met(*interval) is met
