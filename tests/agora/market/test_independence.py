"""Sizes say nothing of sides, prices, worths or of who acts: each is a draw of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare, ks_2samp, norm

from agora.market.layout import SIGHT, TRADER, Style
from agora.market.messages import MESSAGE, Kind
from agora.market.sending import BUY, MOST_MESSAGES, SELL
from agora.market.traders import decide

COUNT = 8_000
KEYS = np.random.default_rng(0).integers(2**63, size=COUNT).astype(np.uint64)
SIZES = (1, 2, 3, 4)
SMALLEST = 1e-7
"""Probability below which a chi-square statistic is no accident."""


def orders(style: Style, seen: dict[str, Any], **settings: Any) -> Any:
    """Orders as rows (key's place, kind, side, price, size), cancellations left out."""
    sight, trader = np.zeros(1, SIGHT), np.zeros(1, TRADER)
    known = {"bid": 9_990, "ask": 10_010, "mid": 10_000.0, "average": 10_000.0, "signal": 10_000.0, "step": 10} | seen
    for name, value in known.items():
        sight[name] = value
    given = {"style": style, "least": 1, "most": 4, "holding": 1000, "period": 200, "activity": 1.0, "away": 6.0}
    for name, value in (given | settings).items():
        trader[name] = value
    messages, rows = np.zeros(MOST_MESSAGES, MESSAGE), []
    for place, key in enumerate(KEYS):
        for message in messages[: decide(sight[0], trader[0], key, messages)]:
            if message["kind"] != Kind.CANCEL:
                rows.append((place, *(int(message[name]) for name in ("kind", "side", "price", "size"))))
    return np.array(rows)


def alike(sizes: Any) -> None:
    """All sizes are as frequent."""
    counts = np.bincount(sizes, minlength=5)
    assert counts[0] == 0 and len(counts) == 5
    assert chisquare(counts[1:]).pvalue > SMALLEST, counts[1:]


@pytest.mark.parametrize(
    ("style", "seen", "settings"),
    [
        (Style.NOISE, {}, {"take": 0.5, "cancel": 0.5, "activity": 0.6}),
        (Style.ZERO_INTELLIGENCE, {}, {"noise": 10.0}),
        (Style.BOOK_READER, {"flow": 1.0}, {"noise": 10.0}),
        (Style.POISSON, {}, {}),
        (Style.FUNDAMENTAL, {}, {"noise": 20.0, "threshold": 2.0}),
        (Style.MAKER, {}, {"half_spread": 3.0}),
        (Style.PROTECTED, {}, {"cancel": 0.5}),
    ],
)
def test_every_size_comes_with_every_kind_side_and_price(
    style: Style, seen: dict[str, Any], settings: dict[str, Any]
) -> None:
    found = orders(style, seen, **settings)
    alike(found[:, 4])
    sides = np.bincount(found[:, 2], minlength=2)
    assert sides.min() > 0.2 * COUNT or style == Style.FUNDAMENTAL
    for kind in np.unique(found[:, 1]):
        for side in (BUY, SELL):
            mine = found[(found[:, 1] == kind) & (found[:, 2] == side)]
            alike(mine[:, 4])
            middle = np.median(mine[:, 3])
            for part in (mine[mine[:, 3] > middle], mine[mine[:, 3] < middle]):
                if len(part) > 200:
                    alike(part[:, 4])


@pytest.mark.parametrize("style", [Style.TREND, Style.REVERSION])
@pytest.mark.parametrize("change", [0.1, -0.1])
def test_who_follows_asks_for_every_size(style: Style, change: float) -> None:
    alike(orders(style, {"change": change, "average": 10_000.0 * (1.0 + change)}, threshold=0.01)[:, 4])


@pytest.mark.parametrize("better", [0, 3])
@pytest.mark.parametrize(("seen", "side"), [({"step": 10}, BUY), ({"step": 150, "shares": 500}, SELL)])
@pytest.mark.parametrize("style", [Style.SPOOFER, Style.LAYERING])
def test_a_spoofer_trades_every_size_whenever_it_trades(
    style: Style, seen: dict[str, Any], side: int, better: int
) -> None:
    """It acts half of the time, if a lot's worth, with a noise of four ticks, is better by more than three."""
    price = {"ask": 10_000 - better} if side == BUY else {"bid": 10_000 + better}
    found = orders(style, seen | price, take=0.5, noise=4.0, threshold=3.0, spoof=0)
    assert set(found[:, 2]) == {side} and set(found[:, 1]) == {Kind.MARKET}
    share = 0.5 * norm.sf((3.0 - better) / 4.0)
    assert len(found) == pytest.approx(share * COUNT, abs=5.0 * np.sqrt(share * COUNT))
    alike(found[:, 4])


@pytest.mark.parametrize(
    ("style", "seen"),
    [
        (Style.MOMENTUM_IGNITION, {"step": 10}),
        (Style.MOMENTUM_IGNITION, {"step": 150, "shares": 500}),
        (Style.STOP_HUNTING, {"step": 10}),
        (Style.STOP_HUNTING, {"step": 150, "shares": -500}),
    ],
)
def test_who_drives_prices_sends_every_size(style: Style, seen: dict[str, Any]) -> None:
    alike(orders(style, seen)[:, 4])


def test_a_stuffers_sizes_are_of_draws_of_their_own() -> None:
    found = orders(Style.QUOTE_STUFFING, {})
    assert len(found) == MOST_MESSAGES * COUNT
    sizes = found[:, 4].reshape(COUNT, MOST_MESSAGES)
    for place in range(MOST_MESSAGES):
        alike(sizes[:, place])
        for other in range(place):
            # All sixteen pairs are as frequent.
            pairs = np.bincount(4 * (sizes[:, place] - 1) + sizes[:, other] - 1, minlength=16)
            assert chisquare(pairs).pvalue > SMALLEST


def test_a_worth_is_the_signal_and_a_noise_of_its_width_on_both_sides() -> None:
    """Orders at the worth and a surplus, which is exponential with a mean of six: variances add up."""
    found = orders(Style.ZERO_INTELLIGENCE, {}, noise=10.0)
    spread = np.sqrt(10.0**2 + 6.0**2 + 1 / 12)
    for side, sign in ((BUY, -1), (SELL, 1)):
        prices = found[found[:, 2] == side][:, 3]
        assert prices.mean() == pytest.approx(10_000.0 + sign * 6.5, abs=5.0 * spread / np.sqrt(len(prices)))
        assert prices.std() == pytest.approx(spread, rel=0.08)


def test_a_book_reader_believes_in_both_sides_alike() -> None:
    """Half of what was sent has traded, at all prices alike: what it asks is a mirror image of what it bids."""
    found = orders(Style.BOOK_READER, {"flow": np.array([[2.0], [2.0], [1.0], [1.0]])}, noise=20.0)
    bids, asks = (np.abs(found[found[:, 2] == side][:, 3] - 10_000.0) for side in (BUY, SELL))
    assert ks_2samp(bids, asks).pvalue > SMALLEST
    assert len(np.unique(bids)) > 10
