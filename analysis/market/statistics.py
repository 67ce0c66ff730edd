"""Estimators that the facts of markets are stated in. Series are float64 (T,)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Series = NDArray[np.float64]


def log_returns(prices: Series, scale: int = 1) -> Series:
    """Logarithmic returns over that many steps, not overlapping."""
    return np.diff(np.log(prices[::scale]))


def autocorrelation(series: Series, lags: NDArray[np.int64] | list[int]) -> Series:
    """Autocorrelation at lags, (len(lags),); 0 for a constant series."""
    centred = series - series.mean()
    scale = float(centred @ centred)
    if scale == 0.0:
        return np.zeros(len(lags))
    return np.array([float(centred[lag:] @ centred[: len(centred) - lag]) / scale for lag in lags])


def excess_kurtosis(series: Series) -> float:
    """Fourth standardised moment less 3; 0 for a constant series."""
    return float(stats.kurtosis(series)) if series.std() > 0.0 else 0.0


def hill(series: Series, share: float = 0.05) -> float:
    """Tail index of |series| from its largest share (Hill 1975); infinity without a tail."""
    sizes = np.sort(np.abs(series))[::-1]
    count = max(2, int(share * len(sizes)))
    if sizes[count] <= 0.0:
        return float("inf")
    mean = float(np.log(sizes[:count] / sizes[count]).mean())
    return 1.0 / mean if mean > 0.0 else float("inf")


def ljung_box(series: Series, lags: int) -> float:
    """p-value of no autocorrelation up to a lag (Ljung and Box 1978), where variances may depend on the past.

    Clustered volatility makes squared autocorrelations larger than the test expects, which would reject far too often;
    each is divided by 1 + γ_{r²}(k) / σ⁴ (Diebold 1986, "Testing for serial correlation in the presence of ARCH").
    """
    count, numbers = len(series), np.arange(1, lags + 1)
    squares = (series - series.mean()) ** 2
    excess = autocorrelation(squares, numbers) * squares.var() / squares.mean() ** 2
    found = autocorrelation(series, numbers) ** 2 / (1.0 + np.maximum(excess, 0.0))
    statistic = count * (count + 2) * float((found / (count - numbers)).sum())
    return float(stats.chi2.sf(statistic, lags))


def arch_lm(series: Series, lags: int) -> float:
    """p-value of no conditional heteroscedasticity (Engle 1982): squares on their own past."""
    squares = (series - series.mean()) ** 2
    past = np.column_stack([np.ones(len(squares) - lags), *(squares[lags - k : -k] for k in range(1, lags + 1))])
    now = squares[lags:]
    spread = float(((now - now.mean()) ** 2).sum())
    if spread == 0.0:
        return 1.0
    left = now - past @ np.linalg.lstsq(past, now, rcond=None)[0]
    return float(stats.chi2.sf(len(now) * (1.0 - float(left @ left) / spread), lags))


def decay_exponent(series: Series, lags: NDArray[np.int64]) -> float:
    """β of autocorrelation ∝ lag^-β, by least squares on logarithms; NaN where a correlation is not positive."""
    found = autocorrelation(series, lags)
    if (found <= 0.0).any():
        return float("nan")
    return -float(stats.linregress(np.log(lags), np.log(found)).slope)


def correlation(first: Series, second: Series) -> float:
    """Pearson's; 0 where one is constant."""
    if first.std() == 0.0 or second.std() == 0.0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def impact_exponent(flow: Series, moves: Series, bins: int = 10) -> float:
    """δ of mean move ∝ |flow|^δ in the flow's direction, over bins of equally many.

    NaN where the mean move of a bin is not in the flow's direction.
    """
    there = flow != 0.0
    sizes, along = np.abs(flow[there]), (moves * np.sign(flow))[there]
    parts: list[Any] = np.array_split(np.argsort(sizes, kind="stable"), bins)
    size = np.array([sizes[part].mean() for part in parts if len(part)])
    move = np.array([along[part].mean() for part in parts if len(part)])
    if len(size) < bins or (move <= 0.0).any() or np.unique(size).size < 3:
        return float("nan")
    return float(stats.linregress(np.log(size), np.log(move)).slope)


def jarque_bera(series: Series) -> float:
    """p-value of normality (Jarque and Bera 1980); 1 for a constant series."""
    return float(stats.jarque_bera(series).pvalue) if series.std() > 0.0 else 1.0
