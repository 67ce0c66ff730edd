"""Whether learners learn to make a market: against the best that is possible, and against the scripted maker.

Nothing is trained here: ``python -m experiments market`` does that, through the services, and keeps the last policies
of five seeds (three among Poisson takers). Those among Poisson takers play episodes that nothing was chosen on, and are
held against the closed form of continuous prices and time, as was asked, and against the best that whole ticks and
steps allow, which is less. The others play the same episodes as when they were kept.
"""

from __future__ import annotations

import math
import statistics
from typing import Final

from bench.report import Row
from bench.stored_runs import replayed, stale
from experiments import trading
from experiments.playing import Table, play_again
from experiments.stored import Training, read_group, read_matches

TITLE = "learned market makers: share of the best return among Poisson takers, profit above the scripted maker's"
ALSO = ("experiments/market/*.yaml", "experiments/results/market/*.json", "experiments/results/scripted_makers.json")
WITHOUT = ("charging", "matrix", "mpe", "scml")

SEEDS: Final = 5
LIMIT_SEEDS: Final = 3
FRESH: Final = 914_027
"""Seed of the episodes that nothing was chosen on."""
FEW: Final = 200
SHARE: Final = 0.98


def run(quick: bool) -> list[Row]:
    """One row an experiment; --quick plays one stored policy again instead of all."""
    runs = read_group(trading.GROUP)
    again, compared = replayed(runs, quick)
    scripted = read_matches(trading.SCRIPTED)
    rows = _limit([run for run in runs if run.name == trading.LIMIT], FEW if quick else None)
    if scripted is not None:
        profit, best = trading.scripted_profit(scripted), trading.best_scripted_profit(scripted)
        rows += [_above(name, again, profit, "the scripted maker's", aim=True) for name in trading.LEARNED]
        rows += [_above(name, again, best, "the best scripted maker's", aim=False) for name in trading.LEARNED]
    return [*rows, compared, stale(runs)]


def _limit(runs: list[Training], episodes: int | None) -> list[Row]:
    """Learned makers among Poisson takers, on fresh episodes."""
    with Table() as table:
        played = [play_again(table, run, episodes, FRESH) for run in runs]
    closed = [trading.share_of_closed_form(fresh) for fresh in played]
    best = [trading.share_of_best(fresh) for fresh in played]
    return [_share("the closed form's return", closed), _share("the best return in whole ticks and steps", best)]


def _share(whose: str, shares: list[float]) -> Row:
    holds = len(shares) >= LIMIT_SEEDS and statistics.fmean(shares) >= SHARE
    mean = f", got {statistics.fmean(shares):.4f}" if shares else ""
    target = f"mean of {LIMIT_SEEDS} seeds >= {SHARE}{mean}"
    return Row(f"Poisson takers, fresh episodes: share of {whose}", shares or [math.nan], "", target, holds)


def _above(name: str, runs: list[Training], profit: float, whose: str, *, aim: bool) -> Row:
    more = [run.final.mean - profit for run in runs if run.name == name]
    holds = len(more) >= SEEDS and trading.lower_end(more) > 0.0
    target = "95 % interval above 0, 5 seeds" if aim else "for information"
    return Row(f"{name}: profit above {whose}", more or [math.nan], "ticks x lots", target, holds or not aim)
