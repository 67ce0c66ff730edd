"""Whether the default market looks like a real one: twelve stylised facts, seed by seed.

The default crowd, and a maker's seat that quotes nothing. Thresholds are those of ``analysis.market.facts``. A second
run, in which the seat always quotes the same, tells whether there is something to earn for a learner.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.market.choices import NO_QUOTE, OFFSETS, SIZES
from analysis.market.facts import Fact, Tape, facts
from analysis.market.quality import pricing_error
from analysis.market.statistics import impact_exponent
from bench.report import Row
from env_server.environments.market import Market, MarketConfig

TITLE = "the default market has the stylised facts of real ones"

STEPS: Final = 100_000
SEED: Final = 2001
"""Of the whole run, whose copies have random numbers of their own; the crowd was not chosen on it."""
FACTS, SHARE = 11, 95.0
NOTHING: Final = (NO_QUOTE, NO_QUOTE, 0)
QUOTES: Final = (len(OFFSETS) - 1, len(OFFSETS) - 1, 1)
"""Both sides as far beyond the nearest prices as choices go."""
ABIDES: Final = {
    "excess kurtosis at 1 s": [46.0, 97.0],
    "ACF of returns at 60 s, lag 1": [0.16, 0.34],
}
"""Measured on rmsc04, two seeds; at 60 s its |returns| are negatively correlated at lag 10 in both."""


@dataclass(frozen=True)
class Played:
    """Episodes of one run.

    Attributes:
        tapes: one per seed.
        worth: (B, T), what a lot was worth, in ticks.
        spread: mean best ask less best bid, in ticks.
        profit: (B,), of the seat, in ticks times lots.
    """

    tapes: list[Tape]
    worth: NDArray[np.float64]
    spread: float
    profit: NDArray[np.float64]


def play(seeds: int, choice: tuple[int, int, int], steps: int = STEPS) -> Played:
    """Play an episode of every seed; the seat makes the same choice in every step."""
    config = MarketConfig(steps=steps)
    market, action = Market(config, seeds), [{"": np.tile(np.array(choice), (seeds, 1))}]
    first = market.reset(SEED, np.arange(seeds, dtype=np.uint32))
    shown = {name: np.empty((seeds, steps)) for name in ("mid", "volume", "flow", "worth")}
    spreads = np.empty(steps)
    for at in range(steps):
        step = market.step(action)
        for name, rows in shown.items():
            rows[:, at] = step.info[name]
        best = step.info["depth"][:, :, 0, 0]
        spreads[at] = (best[:, 1] - best[:, 0])[(best > 0).all(axis=1)].mean()
    tapes = [Tape(*rows) for rows in zip(shown["mid"], shown["volume"], shown["flow"], strict=True)]
    profit = (step.info["equity"] - first.info["equity"])[:, 0]
    return Played(tapes, shown["worth"], float(np.nanmean(spreads)), profit)


def run(quick: bool) -> list[Row]:
    """Play 100 seeds; ``quick``: 10."""
    seeds = 10 if quick else 100
    played = play(seeds, NOTHING)
    found = [facts(tape) for tape in played.tapes]
    enough = 100.0 * float(np.mean([sum(fact.holds for fact in row) >= FACTS for row in found]))
    return [
        Row(f"seeds with at least {FACTS} of 12 facts", [enough], "%", f">= {SHARE:g}", enough >= SHARE),
        *(_share(list(same)) for same in zip(*found, strict=True)),
        _exponent("of one side's orders", [row[-1].values[0] for row in found]),
        _exponent("of the net flow over ten steps", [impact_exponent(*_windows(tape, 10)) for tape in played.tapes]),
        *_sense(played, play(seeds, QUOTES)),
        *(Row(f"ABIDES rmsc04: {name}", values, "", "published, not run", True) for name, values in ABIDES.items()),
    ]


def _share(same: list[Fact]) -> Row:
    """Seeds in which one fact holds."""
    share = 100.0 * float(np.mean([fact.holds for fact in same]))
    return Row(f"{same[0].name}: {same[0].wanted}", [share], "%", "for information", True)


def _exponent(whose: str, exponents: list[float]) -> Row:
    """The exponent of impact, δ."""
    return Row(f"exponent of impact {whose}", [float(np.nanmedian(exponents))], "", "for information", True)


def _windows(tape: Tape, length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Flow and move of windows of so many steps."""
    count = (len(tape.mid) - 1) // length
    flow = tape.flow[1 : count * length + 1].reshape(count, length).sum(axis=1)
    return flow, np.diff(tape.mid[: count * length + 1 : length])


def _sense(idle: Played, quoting: Played) -> list[Row]:
    """Whether the market is a sensible one beside that."""
    errors = [pricing_error(tape.mid, worth) for tape, worth in zip(idle.tapes, idle.worth, strict=True)]
    share = float(np.mean(errors)) / float(idle.worth.std())
    earned = float(quoting.profit.mean()) / STEPS
    seat = f"a seat that always quotes {OFFSETS[QUOTES[0]]} ticks out, {SIZES[QUOTES[2]]} lots"
    return [
        Row("spread", [idle.spread], "ticks", "for information", True),
        Row("pricing error over the spread of what a lot is worth", [share], "x", "< 0.5", share < 0.5),
        Row(seat, [earned], "ticks x lots/step", "> 0", earned > 0),
    ]
