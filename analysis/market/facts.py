"""Stylised facts: what returns, volumes and orders of real markets have in common, and whether a run has it too.

The facts are those of Cont (2001), "Empirical properties of asset returns", and of the catalogue of Vyetrenko et al.
(2020), "Get real: realism metrics for robust limit order book market simulations". Thresholds are stated beside each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analysis.market import statistics as of
from analysis.market.statistics import Series

SCALES: Final = (1, 10, 100)
"""Steps over which returns are taken."""
SHORTEST: Final = 30 * SCALES[-1]
"""Steps that an episode needs."""
CONCAVE_FROM: Final = 0.3
CONCAVE_TO: Final = 0.8
"""Exponents of impact between which it is concave as that of real markets."""
REJECTED: Final = 0.05
"""p-value below which a hypothesis is rejected."""


@dataclass(frozen=True)
class Tape:
    """What happened in a market, step by step.

    Attributes:
        mid: (T,), middle prices.
        volume: (T,), lots traded in a step.
        flow: (T,), lots bought by incoming orders less lots sold by them.
    """

    mid: Series
    volume: Series
    flow: Series


@dataclass(frozen=True)
class Fact:
    """A fact, and whether it holds.

    Attributes:
        name: in words.
        values: by scale or lag, as ``wanted`` says.
        wanted: the values that real markets have.
        holds: whether these are such.
    """

    name: str
    values: tuple[float, ...]
    wanted: str
    holds: bool


def facts(tape: Tape) -> list[Fact]:
    """All facts of a tape.

    Raises:
        ValueError: the tape is too short for the coarsest scale, or prices are not positive.
    """
    if len(tape.mid) < SHORTEST:
        raise ValueError(f"mid: expected at least {SHORTEST} steps, got {len(tape.mid)}")
    if not (tape.mid > 0.0).all():
        raise ValueError(f"mid: expected positive prices, got {tape.mid.min()}")
    by_scale = [of.log_returns(tape.mid, scale) for scale in SCALES]
    return [*_tails(by_scale), *_memory(by_scale), *_clustering(by_scale[0]), *_trading(tape)]


def over_episodes(tapes: Sequence[Tape]) -> list[dict[str, Any]]:
    """Per fact its "name", what is "wanted", the "share" of tapes in which it holds, and medians of its "values".

    Raises:
        ValueError: as ``facts`` does.
    """
    by_fact = zip(*(facts(tape) for tape in tapes), strict=True)
    return [
        {
            "name": same[0].name,
            "share": float(np.mean([fact.holds for fact in same])),
            "values": np.median([fact.values for fact in same], axis=0).tolist(),
            "wanted": same[0].wanted,
        }
        for same in by_fact
    ]


def _tails(by_scale: list[Series]) -> list[Fact]:
    kurtosis = tuple(of.excess_kurtosis(returns) for returns in by_scale)
    index = of.hill(by_scale[0])
    normal = of.jarque_bera(by_scale[0])
    return [
        Fact("heavy tails", kurtosis[:1], "excess kurtosis > 3 at 1 step", kurtosis[0] > 3.0),
        Fact(
            "aggregational normality", kurtosis, "excess kurtosis at 100 steps < at 1 step", kurtosis[2] < kurtosis[0]
        ),
        Fact("power-law tails", (index,), "Hill index of the largest 5 % in [2, 5]", 2.0 <= index <= 5.0),
        Fact("no normal returns", (normal,), "Jarque-Bera rejects", normal < REJECTED),
    ]


def _memory(by_scale: list[Series]) -> list[Fact]:
    fine = of.autocorrelation(by_scale[0], np.arange(2, 21))
    most = float(np.abs(fine).max())
    coarse = of.ljung_box(by_scale[2], 5)
    return [
        Fact("no linear memory", (most,), "|ACF of returns| < 0.05 at lags 2 to 20", most < 0.05),
        Fact("no linear memory, coarsely", (coarse,), "Ljung-Box does not reject at 100 steps", coarse > REJECTED),
    ]


def _clustering(returns: Series) -> list[Fact]:
    sizes = np.abs(returns)
    found = of.autocorrelation(sizes, [1, 10, 50])
    engle = of.arch_lm(returns, 10)
    lags: NDArray[np.int64] = np.unique(np.geomspace(1, 100, 20).astype(np.int64))
    decay = of.decay_exponent(sizes, lags)
    return [
        Fact(
            "volatility clustering",
            tuple(found.tolist()),
            "ACF of |returns| > 0.1, 0.05, 0.02 at lags 1, 10, 50",
            bool((found > [0.1, 0.05, 0.02]).all()),
        ),
        Fact("conditional heteroscedasticity", (engle,), "Engle's test rejects", engle < REJECTED),
        Fact("long memory", (decay,), "ACF of |returns| decays with exponent in [0.1, 0.6]", 0.1 <= decay <= 0.6),
    ]


def _trading(tape: Tape) -> list[Fact]:
    moves = np.diff(tape.mid)
    together = of.correlation(tape.volume[1:], np.abs(moves))
    signs = of.autocorrelation(np.sign(tape.flow[tape.flow != 0.0]), [1, 10])
    impact = of.impact_exponent(*_one_sided(tape))
    return [
        Fact("volume follows volatility", (together,), "correlation with |move| > 0.2", together > 0.2),
        Fact(
            "persistent order signs", tuple(signs.tolist()), "ACF of signs > 0 at lags 1, 10", bool((signs > 0).all())
        ),
        Fact(
            "concave impact",
            (impact,),
            f"mean move ∝ |flow|^δ in steps with one side's orders, δ in [{CONCAVE_FROM}, {CONCAVE_TO}]",
            CONCAVE_FROM <= impact <= CONCAVE_TO,
        ),
    ]


def _one_sided(tape: Tape) -> tuple[Series, Series]:
    """Flow and move of the steps in which all that traded came from one side.

    That is as near to single orders as steps are. Their impact is concave (Lillo, Farmer and Mantegna 2003, "Master
    curve for price-impact function"); that of many orders' net flow gets linear the more there are (Bouchaud, Farmer
    and Lillo 2009, "How markets slowly digest changes in supply and demand").
    """
    flow, volume, moves = tape.flow[1:], tape.volume[1:], np.diff(tape.mid)
    there = (np.abs(flow) == volume) & (volume > 0.0)
    return flow[there], moves[there]
