"""Where orders that are not to trade lie, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from agora.market.layout import SIGHT
from agora.market.sending import BUY, SELL, passive_price


@pytest.mark.parametrize(
    ("bid", "ask", "mid", "away", "buys", "sells"),
    [
        (9_998, 10_002, 10_000.0, 0.0, 9_999, 10_001),  # a tick before the best
        (9_998, 10_002, 10_000.0, 1.0, 9_998, 10_002),
        (9_998, 10_002, 10_000.0, 3.7, 9_996, 10_004),  # two ticks behind it
        (9_999, 10_000, 9_999.5, 0.0, 9_999, 10_000),  # a tick before it would trade
        (0, 0, 10_000.0, 1.0, 9_999, 10_001),  # nobody there: next to the middle
        (0, 0, 10_000.5, 1.0, 10_000, 10_001),
        (0, 0, 10_000.5, 2.0, 9_999, 10_002),
        (0, 10_010, 10_000.0, 1.0, 9_999, 10_010),
        (9_990, 0, 10_000.0, 1.0, 9_990, 10_001),
        (0, 9_995, 10_000.0, 1.0, 9_994, 9_995),  # the middle of before would trade
        (10_005, 0, 10_000.0, 1.0, 10_005, 10_006),
    ],
)
def test_a_passive_price_is_near_the_best_and_never_trades(
    bid: int, ask: int, mid: float, away: float, buys: int, sells: int
) -> None:
    seen = np.zeros(1, SIGHT)
    seen["bid"], seen["ask"], seen["mid"] = bid, ask, mid
    assert [passive_price(seen[0], side, away) for side in (BUY, SELL)] == [buys, sells]
