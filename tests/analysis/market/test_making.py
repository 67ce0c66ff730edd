"""The best a maker can do against Poisson takers, by hand, by enumeration and in closed form."""

from __future__ import annotations

import itertools
import math

import pytest

from analysis.market.making import DISTANCES, Making, best_return, continuous_return

CONFIG = {
    "crowd": [{"style": "poisson", "activity": 0.6, "away": 6.0, "latency": 1}],
    "anchored": True,
    "position_limit": 10,
    "inventory_penalty": 0.01,
    "steps": 200,
}


def test_a_task_is_read_from_a_market_that_poses_it():
    assert Making.of(CONFIG) == Making(0.6, 6.0, 10, 0.01, 200)
    for change in ({"anchored": False}, {"crowd": []}, {"crowd": [{"style": "noise"}]}):
        with pytest.raises(ValueError, match="crowd: expected an anchored market with one Poisson taker"):
            Making.of(CONFIG | change)


def test_one_chance_to_trade_is_worth_the_best_distance_times_its_chance():
    # 6 ticks: δ e^{-δ/6} is largest at δ = 6, and what is held then costs a tenth of a tick.
    found = best_return(Making(0.6, 6.0, 1, 0.1, 2))
    assert found == pytest.approx(0.6 * (6.0 - 0.1) * math.exp(-1.0), rel=1e-12)


def test_three_steps_by_enumeration_of_all_plans():
    task = Making(0.5, 4.0, 1, 0.3, 3)

    def chance(distance: float) -> float:
        return 0.25 * math.exp(-distance / 4.0)

    def outcomes(held: int, bid: float, ask: float) -> list[tuple[float, float, int]]:
        """Probability, reward, inventory after a step."""
        buys = chance(bid) if held < 1 else 0.0
        sells = chance(ask) if held > -1 else 0.0
        after = [(buys, bid, held + 1), (sells, ask, held - 1), (1.0 - buys - sells, 0.0, held)]
        return [(p, gain - 0.3 * then**2, then) for p, gain, then in after if p > 0.0]

    pairs = list(itertools.product(DISTANCES, DISTANCES))
    last = {(held, pair): sum(p * r for p, r, _ in outcomes(held, *pair)) for held in (-1, 0, 1) for pair in pairs}
    best = 0.0
    for first in pairs:
        now = outcomes(0, *first)
        # The second quotes are chosen before it is known what the first have traded.
        best = max(
            best,
            sum(p * r for p, r, _ in now) + max(sum(p * last[then, pair] for p, _, then in now) for pair in pairs),
        )
    assert best_return(task) == pytest.approx(best, rel=1e-12)


def test_whole_ticks_and_steps_cost_a_little_of_what_continuous_quotes_earn():
    task = Making.of(CONFIG)
    assert 0.98 * continuous_return(task) < best_return(task) < continuous_return(task)


def test_without_a_penalty_or_a_limit_the_closed_form_is_that_of_two_poisson_streams():
    # λ/(ke) a step and side (Avellaneda and Stoikov, with no risk aversion); the limit is too far to matter.
    found = continuous_return(Making(0.6, 6.0, 60, 0.0, 101))
    assert found == pytest.approx(100 * 0.6 * 6.0 * math.exp(-1.0), rel=1e-9)
