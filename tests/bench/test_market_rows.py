"""Rows of the market's measurements: what was asked and what is eased are held apart, and what is missing is said."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.market.making import Making
from analysis.market.manipulation import Course
from bench import lobster, market_facts, market_learning
from bench.report import Verdict
from bench.spoofing import Effect
from experiments import trading
from experiments.stored import Played


def test_impact_counts_by_the_definition_that_a_row_names() -> None:
    others = [11, 11, 10, 10]
    asked = market_facts._enough("net flow over ten steps", others, [0.97, math.nan, 0.97, 0.5])
    eased = market_facts._enough("steps with one side's orders", others, [0.7, 0.3, 0.8, 0.81])
    assert (asked.values, eased.values) == ([75.0], [75.0])
    assert asked.verdict is eased.verdict is Verdict.FALLS_SHORT
    assert market_facts._enough("", [10] * 20, [0.7] * 19 + [0.9]).verdict is Verdict.HOLDS


def test_an_exponent_must_be_concave_in_nearly_all_seeds() -> None:
    linear = market_facts._exponent("of the net flow", [0.97] * 20)
    concave = market_facts._exponent("of one side's orders", [0.7] * 19 + [0.9])
    assert (linear.values, linear.verdict) == ([0.97], Verdict.FALLS_SHORT)
    assert (concave.values, concave.verdict) == ([0.7], Verdict.HOLDS)
    assert "got 95 %" in concave.target


def test_a_share_of_the_closed_form_is_less_than_one_of_whole_ticks_and_steps() -> None:
    taker = {"style": "poisson", "activity": 0.6, "away": 6.0, "latency": 1}
    config = {"anchored": True, "crowd": [taker], "position_limit": 3, "inventory_penalty": 0.1, "steps": 60}
    played = Played(
        returns={},
        standard_errors={},
        mean=10.0,
        standard_error=0.0,
        environment="market",
        config=config,
        episodes=1,
        players={},
    )
    closed, best = trading.share_of_closed_form(played), trading.share_of_best(played)
    # h(0, 0) of the closed form, by Euler's steps of its differential equation.
    task, dt = Making.of(config), 1e-3
    omega, held = np.ones(7), np.arange(-3, 4)
    for _ in range(int(59 / dt)):
        beside = np.append(omega[1:], 0.0) + np.insert(omega[:-1], 0, 0.0)
        omega = omega + dt * (0.3 * math.exp(-1.0) * beside - 0.1 / 6.0 * held**2 * omega)
    assert closed == pytest.approx(10.0 / (6.0 * math.log(omega[3])), rel=1e-3)
    assert task.reach == 6.0 and closed < best


@pytest.mark.parametrize(
    ("shares", "verdict"),
    [
        ([0.98, 0.985, 0.975], Verdict.HOLDS),
        ([0.98, 0.985, 0.974], Verdict.FALLS_SHORT),
        ([0.99, 0.99], Verdict.FALLS_SHORT),
    ],
)
def test_a_share_is_held_as_the_mean_of_three_seeds(shares: list[float], verdict: Verdict) -> None:
    assert market_learning._share("the closed form's return", shares).verdict is verdict


def test_real_files_that_are_not_there_are_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lobster.FOLDER, raising=False)
    (row,) = lobster._real()
    assert row.verdict is Verdict.NOT_MEASURED and "AGORA_LOBSTER=FOLDER" in row.target


def test_a_manipulator_is_held_beside_itself_doing_nothing() -> None:
    idle_mid, worth = np.full((2, 1), 100.0), np.full((2, 1), 90.0)
    none, nobody = np.zeros((2, 1)), np.zeros((2, 1, 4))
    idle = Course(idle_mid, worth, none, nobody, nobody)
    # It sells a lot to a victim for 95 in the second step, when a bid of its own has moved the middle to 103.
    cash, shares = nobody.copy(), nobody.copy()
    cash[1, 0], shares[1, 0] = [0.0, 95.0, -95.0, 0.0], [0.0, -1.0, 1.0, 0.0]
    active = Course(np.array([[100.0], [103.0]]), worth, np.array([[0.0], [5.0]]), cash, shares)
    effect = Effect.of(active, idle)
    assert (effect.moved.tolist(), effect.profit.tolist(), effect.lost.tolist()) == ([3.0], [5.0], [5.0])
