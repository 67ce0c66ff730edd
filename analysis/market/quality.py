"""How good a market is: what trading costs, how deep it is, how much of the price is right.

Prices in ticks, sizes in lots, signs 1 for incoming orders that bought and -1 for those that sold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.market.statistics import Series

LATER: Final = 10
"""Steps after a trade at which its impact is read."""
LEVELS: Final = (1, 5, 10)
RATIOS: Final = (2, 10)
"""Steps of the variance ratios."""
SHOCK: Final = 2.0
"""A spread that is so many times its median is a shock."""


@dataclass(frozen=True)
class Depth:
    """The book step by step.

    Attributes:
        prices: int (T, 2, levels), of bids and asks, 0 where there are none.
        lots: int (T, 2, levels).
    """

    prices: NDArray[np.int64]
    lots: NDArray[np.int64]

    @property
    def spread(self) -> Series:
        """Best ask less best bid, (T,); NaN where a side is empty."""
        best = self.prices[:, :, 0].astype(np.float64)
        return np.where((best > 0).all(axis=1), best[:, 1] - best[:, 0], np.nan)


@dataclass(frozen=True)
class Trades:
    """Trades of continuous trading, one row each.

    Attributes:
        step: int (K,), in which it happened.
        price: (K,).
        lots: (K,).
        sign: (K,).
    """

    step: NDArray[np.int64]
    price: Series
    lots: Series
    sign: Series


def quoted_spread(depth: Depth) -> float:
    """Mean of the spread over steps in which both sides have orders; NaN without any."""
    spread = depth.spread
    there = np.isfinite(spread)
    return float(spread[there].mean()) if there.any() else float("nan")


def effective_spread(trades: Trades, mid: Series) -> float:
    """Twice what a trade costs against the middle before it, weighted by lots.

    Args:
        trades: of the market.
        mid: (T,), middles at the ends of steps.
    """
    before = mid[np.maximum(trades.step - 1, 0)]
    return _weighted(2.0 * trades.sign * (trades.price - before), trades.lots)


def realised_spread(trades: Trades, mid: Series, later: int = LATER) -> float:
    """Twice what the resting side keeps after so many steps, weighted by lots."""
    after = mid[np.minimum(trades.step + later, len(mid) - 1)]
    return _weighted(2.0 * trades.sign * (trades.price - after), trades.lots)


def price_impact(trades: Trades, mid: Series, later: int = LATER) -> float:
    """Effective less realised spread: how far prices go on in the direction of trades."""
    return effective_spread(trades, mid) - realised_spread(trades, mid, later)


def mean_depth(depth: Depth, levels: int) -> float:
    """Lots in the best levels of both sides, mean over steps."""
    return float(depth.lots[:, :, :levels].sum(axis=(1, 2)).mean())


def amihud(mid: Series, volume: Series) -> float:
    """Mean |return| per lot, over steps with trades (Amihud 2002); NaN without any."""
    returns, traded = np.abs(np.diff(np.log(mid))), volume[1:]
    there = traded > 0
    return float((returns[there] / traded[there]).mean()) if there.any() else float("nan")


def variance_ratio(mid: Series, steps: int) -> float:
    """Variance of returns over some steps per that of as many single ones (Lo and MacKinlay 1988); 1: a random walk.

    NaN where prices never move, or there are too few.
    """
    logs = np.log(mid)
    if len(logs) <= steps or not np.ptp(logs):
        return float("nan")
    return float((logs[steps:] - logs[:-steps]).var()) / (steps * float(np.diff(logs).var()))


def pricing_error(mid: Series, worth: Series) -> float:
    """Root mean squared distance of the middle from what a lot is worth, in ticks."""
    return float(np.sqrt(((mid - worth) ** 2).mean()))


def order_flow_imbalance(depth: Depth) -> Series:
    """What comes to the best bid less what comes to the best ask, (T - 1,).

    Cont, Kukanov and Stoikov (2014), "The price impact of order book events", equation 2. A step in which a side is
    empty counts its price as the worst and its size as 0.
    """
    bid, ask = (depth.prices[:, side, 0].astype(np.float64) for side in range(2))
    ask = np.where(ask > 0, ask, np.inf)
    bids, asks = (depth.lots[:, side, 0].astype(np.float64) for side in range(2))
    up = (bid[1:] >= bid[:-1]) * bids[1:] - (bid[1:] <= bid[:-1]) * bids[:-1]
    down = (ask[1:] <= ask[:-1]) * asks[1:] - (ask[1:] >= ask[:-1]) * asks[:-1]
    return up - down


def resilience(depth: Depth) -> float:
    """Median steps until a spread shock has halved; NaN without shocks that do."""
    spread = depth.spread
    if np.isnan(spread).all():
        return float("nan")
    usual = float(np.nanmedian(spread))
    shocks = np.flatnonzero((spread[1:] >= SHOCK * usual) & (spread[:-1] < SHOCK * usual)) + 1
    waits = []
    for shock in shocks:
        halved = np.flatnonzero(spread[shock:] - usual <= 0.5 * (spread[shock] - usual))
        if len(halved):
            waits.append(int(halved[0]))
    return float(np.median(waits)) if waits else float("nan")


def flow_balance(flow: Series) -> float:
    """|bought - sold| over bought + sold of incoming orders, in all; 0: as much one way as the other."""
    total = float(np.abs(flow).sum())
    return abs(float(flow.sum())) / total if total > 0.0 else 0.0


def _weighted(values: Series, weights: Series) -> float:
    return float(np.average(values, weights=weights)) if weights.sum() > 0 else float("nan")
