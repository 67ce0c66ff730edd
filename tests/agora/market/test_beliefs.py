"""What a book reader bids, by hand, and how a bid that is not meant to trade moves it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.market.beliefs import best_price
from agora.market.layout import SIGHT, WINDOW, Flow

BUY, SELL = 0, 1


def sight(unfilled: dict[int, float]) -> Any:
    """Two lots each traded at 9,996 and at 10,000, and bids that went without a trade, lots by price."""
    seen = np.zeros(1, SIGHT)
    seen["mid"] = 9_998.0
    for price in (9_996, 10_000):
        seen["flow"][0, :, price % WINDOW] = 2.0
    for price, lots in unfilled.items():
        seen["flow"][0, Flow.BIDS, price % WINDOW] += lots
    return seen[0]


def test_a_buyer_weighs_surplus_and_belief() -> None:
    # Favourable up to 9,999: 2 bids that traded and 2 asks; against a bid at 9,996: the 2 that did not trade. So for a
    # worth of 10,010 they are believed with 4/6 at 9,996, for 14 ticks, and surely at 9,997, for 13.
    assert best_price(sight({9_996: 2.0}), BUY, 10_010.0) == 9_997
    # With 1 against 4 it is 4/5 of 14 ticks, still less; with none it is all 14.
    assert best_price(sight({9_996: 1.0}), BUY, 10_010.0) == 9_997
    assert best_price(sight({}), BUY, 10_010.0) == 9_996


@pytest.mark.parametrize("spoof", [9_997, 9_998, 9_999])
def test_a_spoof_makes_buyers_bid_above_it(spoof: int) -> None:
    # At the spoof and below, 4 lots are in favour and 200 against.
    assert best_price(sight({9_996: 2.0, spoof: 200.0}), BUY, 10_010.0) == spoof + 1


def test_a_spoof_does_not_make_sellers_ask_less() -> None:
    # At 10,000 two asks traded and none went without: sure, for 10 ticks; below it there is less to gain.
    assert best_price(sight({}), SELL, 9_990.0) == 10_000
    assert best_price(sight({9_997: 200.0}), SELL, 9_990.0) == 10_000


@pytest.mark.parametrize("side", [BUY, SELL])
def test_flow_counts_from_one_end_of_the_window_to_the_other(side: int) -> None:
    sign, middle = 1 - 2 * side, 9_998
    far = np.zeros(1, SIGHT)
    far["mid"], far["flow"][0, :, (middle + 60 * sign) % WINDOW] = middle, 2.0
    # All trades were 60 ticks beyond the middle: whoever gains there goes there.
    assert best_price(far[0], side, middle + 62.0 * sign) == middle + 60 * sign
    near = np.zeros(1, SIGHT)
    near["mid"], near["flow"][0, :, (middle - 2 * sign) % WINDOW] = middle, 2.0
    near["flow"][0, Flow.BIDS if side == BUY else Flow.ASKS, (middle + 40 * sign) % WINDOW] = 200.0
    # Four lots in favour; 200 against up to 40 ticks beyond the middle, none behind: 9 ticks there, 1 of 52 before.
    assert best_price(near[0], side, middle + 50.0 * sign) == middle + 41 * sign
