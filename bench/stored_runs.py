"""Stored training runs held against what they must reach, with their last policies evaluated anew.

Nothing is trained here: ``python -m experiments GROUP`` does that, through the services, and keeps the last policies.
They play the game that the run was judged on, the same episodes as when they were kept.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from bench.report import Row
from experiments.playing import Table, play_again
from experiments.running import is_kept, present_code
from experiments.stored import Training, read_group

SEEDS: Final = 3
QUICK_EPISODES: Final = 200
ROUNDING: Final = 0.01
"""How far a mean return may be from the stored one: other processors round otherwise."""
FEW_ERRORS: Final = 4.0
"""The same for fewer episodes, in standard errors."""


def hold(group: str, bars: Sequence[tuple[str, str, float]], quick: bool) -> list[Row]:
    """Rows of a group.

    Args:
        group: of experiments.
        bars: titles, experiments, and what the mean return of an experiment's three seeds must reach.
        quick: evaluate one run anew, on fewer episodes; the other figures are as they are stored.
    """
    runs = read_group(group)
    again, compared = replayed(runs, quick)
    rows = [_held(title, [run.final.mean for run in again if run.name == name], bar) for title, name, bar in bars]
    return [*rows, compared, stale(runs), older(runs)]


def replayed(runs: Sequence[Training], quick: bool) -> tuple[list[Training], Row]:
    """The runs with their policies' returns of now, and how far these are from what was stored.

    Args:
        runs: of a group.
        quick: evaluate one run anew, on fewer episodes; the returns are as they are stored.
    """
    with Table() as table:
        if quick:
            return list(runs), _replay_one(table, runs)
        again = [run.model_copy(update={"final": play_again(table, run)}) for run in runs]
    gaps = [abs(now.final.mean - run.final.mean) for now, run in zip(again, runs, strict=True)]
    return again, _row("played anew: difference from what is stored", gaps, "return", ROUNDING)


def stale(runs: Sequence[Training]) -> Row:
    """Whether any run is of other settings than those of its experiment now."""
    found = [float(not is_kept(run.group, run.name, run.seed)) for run in runs]
    return _row("runs of another configuration than the present one", found, "", 0.0)


def older(runs: Sequence[Training]) -> Row:
    """Which runs were trained by other code than the present; what they play is played by the present code."""
    present = present_code().digest
    found = [float(run.provenance.code != present) for run in runs]
    return Row("runs trained by other code than the present", [sum(found)], f"of {len(found)}", "for information", True)


def _replay_one(table: Table, runs: Sequence[Training]) -> Row:
    gaps = []
    for run in runs[:1]:
        again = play_again(table, run, QUICK_EPISODES)
        gaps.append(abs(again.mean - run.final.mean) / math.hypot(again.standard_error, run.final.standard_error))
    return _row(f"one run played anew, {QUICK_EPISODES} episodes: difference", gaps, "standard errors", FEW_ERRORS)


def _held(name: str, means: list[float], bar: float) -> Row:
    holds = len(means) >= SEEDS and statistics.fmean(means) >= bar
    return Row(name, means or [math.nan], "return", f"mean of {SEEDS} seeds >= {bar:g}", holds)


def _row(name: str, values: list[float], unit: str, limit: float) -> Row:
    return Row(name, values or [math.nan], unit, f"<= {limit:g}", bool(values) and max(values) <= limit)
