"""Market quality by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.market import quality as of
from analysis.market.measures import over_episodes
from analysis.market.quality import Depth, Trades
from tests.analysis.market.test_replay import episode

MID = np.array([100.0, 101.0, 103.0, 102.0])
TRADES = Trades(np.array([1, 2]), np.array([101.0, 99.5]), np.array([3.0, 1.0]), np.array([1.0, -1.0]))


def book(*rows: tuple[int, int, int, int]) -> Depth:
    """Best bid, its lots, best ask, its lots, step by step."""
    table = np.array(rows)
    return Depth(table[:, [0, 2]][:, :, None], table[:, [1, 3]][:, :, None])


def test_spreads_of_trades() -> None:
    # Bought 3 at 101 against 100 before: 2. Sold 1 at 99.5 against 101 before: 3.
    assert of.effective_spread(TRADES, MID) == pytest.approx((3 * 2.0 + 3.0) / 4)
    # One step later the middle is 103 and 102: -4 for the buy, 5 for the sale.
    assert of.realised_spread(TRADES, MID, 1) == pytest.approx((3 * -4.0 + 5.0) / 4)
    assert of.price_impact(TRADES, MID, 1) == pytest.approx(9 / 4 + 7 / 4)
    none = Trades(*(np.zeros(0, np.int64), *(np.zeros(0) for _ in range(3))))
    assert math.isnan(of.effective_spread(none, MID))


def test_depth_and_spread() -> None:
    depth = book((99, 5, 101, 4), (99, 5, 0, 0), (98, 1, 102, 2))
    assert depth.spread[[0, 2]].tolist() == [2.0, 4.0] and math.isnan(depth.spread[1])
    assert of.mean_depth(depth, 1) == pytest.approx((9 + 5 + 3) / 3)


def test_amihud_is_the_move_that_a_lot_makes() -> None:
    mid = np.exp([0.0, 0.02, 0.02, -0.02])
    assert of.amihud(mid, np.array([9.0, 4.0, 0.0, 8.0])) == pytest.approx((0.02 / 4 + 0.04 / 8) / 2)
    assert math.isnan(of.amihud(mid, np.zeros(4)))


def test_variance_ratios() -> None:
    draws = np.random.default_rng(0).standard_normal(200_000)
    assert of.variance_ratio(np.exp(1e-4 * np.cumsum(draws)), 10) == pytest.approx(1.0, abs=0.02)
    # Moves that undo one another: x_t = e_t has Var over 2 steps 2 Var e, over 1 step 2 Var e; the ratio is 1/2.
    assert of.variance_ratio(np.exp(1e-4 * draws), 2) == pytest.approx(0.5, abs=0.01)
    assert math.isnan(of.variance_ratio(np.ones(10), 2))


def test_pricing_error() -> None:
    assert of.pricing_error(np.array([1.0, 3.0]), np.array([4.0, 7.0])) == pytest.approx(math.sqrt(12.5))


def test_order_flow_imbalance_of_the_paper_s_cases() -> None:
    depth = book((99, 5, 101, 4), (99, 7, 101, 4), (100, 2, 101, 4), (100, 2, 102, 6), (100, 2, 101, 3))
    # Two lots join the bid; a new best bid of 2; the ask's 4 are gone; a new best ask of 3.
    assert of.order_flow_imbalance(depth).tolist() == [2.0, 2.0, 4.0, -3.0]


def test_resilience_counts_the_steps_until_a_shock_has_halved() -> None:
    rows = [(99, 1, 101, 1)] * 20 + [(95, 1, 105, 1), (96, 1, 104, 1), (97, 1, 103, 1)] + [(99, 1, 101, 1)] * 20
    # The spread goes 2, 10, 8, 6, 2: half of the shock of 8 is left after two steps.
    assert of.resilience(book(*rows)) == 2.0
    assert math.isnan(of.resilience(book(*[(99, 1, 101, 1)] * 5)))


def test_flow_balance() -> None:
    assert of.flow_balance(np.array([3.0, -1.0])) == 0.5 and of.flow_balance(np.zeros(3)) == 0.0


@pytest.mark.parametrize("steps", [1, 2, 50])
@pytest.mark.parametrize("lots", [0, 3])
def test_an_episode_without_a_spread_has_none_and_warns_of_nothing(steps: int, lots: int) -> None:
    # Nobody ever asks; with lots of 0 nobody bids either. Warnings are errors here.
    bids = [[[9_999 if lots else 0, lots]]] * steps
    found = over_episodes([episode([10_000] * steps, bids, [[[0, 0]]] * steps)])
    numbers = {name: value for name, value in found.items() if value is not None}
    depths = {f"depth, {levels} levels": float(lots) for levels in of.LEVELS}
    assert numbers == {**depths, "volume": 0.0, "pricing error": 0.0, "order-flow balance": 0.0}


def test_a_quoted_spread_is_over_the_steps_that_have_one() -> None:
    assert of.quoted_spread(book((99, 5, 101, 4), (99, 5, 0, 0), (98, 1, 102, 2))) == 3.0
