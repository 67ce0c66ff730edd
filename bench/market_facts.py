"""Whether the default market looks like a real one: twelve stylised facts, seed by seed.

The default crowd, and a maker's seat that quotes nothing. Thresholds are those of ``analysis.market.facts``. Concave
impact is held by both of its definitions: that of the net flow over ten steps, as was asked, and that of steps in which
all orders came from one side, the nearest to single orders. A second run, in which the seat always quotes the same,
tells whether there is something to earn for a learner. ABIDES' reference market is asked for the same facts, see
``bench.abides``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.market.choices import NO_QUOTE, OFFSETS, SIZES
from analysis.market.facts import CONCAVE_FROM, CONCAVE_TO, Fact, Tape, facts
from analysis.market.quality import pricing_error
from analysis.market.statistics import impact_exponent
from bench import abides
from bench.report import Row
from env_server.environments.market import Market, MarketConfig

TITLE = "the default market has the stylised facts of real ones"
ALSO = ("bench/peer_programs/abides.py", "bench/peers/abides.txt")

STEPS: Final = 100_000
SEED: Final = 2001
"""Of the whole run, whose copies have random numbers of their own; the crowd was not chosen on it."""
FACTS, SHARE = 11, 95.0
CONCAVE: Final = "concave impact"
NOTHING: Final = (NO_QUOTE, NO_QUOTE, 0)
QUOTES: Final = (len(OFFSETS) - 1, len(OFFSETS) - 1, 1)
"""Both sides as far beyond the nearest prices as choices go."""


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
    net = [impact_exponent(*_windows(tape, 10)) for tape in played.tapes]
    others = [sum(fact.holds for fact in row if fact.name != CONCAVE) for row in found]
    single = [next(fact.values[0] for fact in row if fact.name == CONCAVE) for row in found]
    return [
        _enough("net flow over ten steps", others, net),
        _enough("steps with one side's orders", others, single),
        *(_share(list(same)) for same in zip(*found, strict=True)),
        _exponent("of the net flow over ten steps", net),
        _exponent("of one side's orders", single),
        *_sense(played, play(seeds, QUOTES)),
        abides.counted("the default market", found),
        *abides.rows(quick),
    ]


def _enough(definition: str, others: list[int], exponents: list[float]) -> Row:
    """Seeds with enough facts, the last of which is concave impact by one of its definitions."""
    counts = [other + _concave(exponent) for other, exponent in zip(others, exponents, strict=True)]
    enough = 100.0 * float(np.mean([count >= FACTS for count in counts]))
    name = f"seeds with at least {FACTS} of 12 facts, impact of {definition}"
    return Row(name, [enough], "%", f">= {SHARE:g}", enough >= SHARE)


def _concave(exponent: float) -> bool:
    return CONCAVE_FROM <= exponent <= CONCAVE_TO


def _share(same: list[Fact]) -> Row:
    """Seeds in which one fact holds."""
    share = 100.0 * float(np.mean([fact.holds for fact in same]))
    return Row(f"{same[0].name}: {same[0].wanted}", [share], "%", "for information", True)


def _exponent(whose: str, exponents: list[float]) -> Row:
    """The exponent of impact, δ: its median, and whether it is that of concave impact in enough seeds."""
    share = 100.0 * float(np.mean([_concave(exponent) for exponent in exponents]))
    target = f"in [{CONCAVE_FROM}, {CONCAVE_TO}] in >= {SHARE:g} % of seeds, got {share:g} %"
    return Row(f"exponent of impact {whose}", [float(np.nanmedian(exponents))], "", target, share >= SHARE)


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
