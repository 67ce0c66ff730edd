# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the results of a comparison come to: per variant, in all and per level."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pyarrow as pa
from rich.table import Table

from scml_engine.league.plan import Plan
from scml_engine.league.statistics import CONFIDENCE, Interval, clustered

POSITIONS = ("first", "middle", "last")


def summarise(results: pa.Table, plan: Plan, baseline: str) -> dict[str, Any]:
    """``league.json``.

    Args:
        results: columns ``scml_engine.league.results.SCHEMA``.
        plan: whose results they are.
        baseline: name of the variant that the others are compared with.

    Returns:
        ``rows`` holds a row per variant in the plan's order: variant, policy, shield; the figures below over all its
        focal factories; ``levels``, the same figures by "first", "middle" and "last"; ``substituted``, default answers
        given, in all; ``failed``, how many of its worlds failed. Figures, null where there is too little to say:

        * n, mean, low, high: factories, mean score and its interval;
        * pairs, diff, diff_low, diff_high: score minus the baseline's in the same seat of the same world;
        * relative, relative_low, relative_high: score minus the mean score of the factory's level in its world;
        * shortfall, free_units: units per factory; bankrupt: share of factories.
    """
    frame = results.to_pandas()
    rows = []
    for variant in plan.variants:
        mine = frame[frame.variant == variant.name]
        levels = {name: mine[mine.position == name] for name in POSITIONS}
        worlds = mine.drop_duplicates("world")
        rows.append(
            {
                "variant": variant.name,
                "policy": variant.policy,
                "shield": variant.shield,
                **_figures(mine, frame[frame.variant == baseline]),
                "levels": {name: _figures(at, frame[frame.variant == baseline]) for name, at in levels.items()},
                "substituted": int(worlds.substituted.sum()),
                "failed": int(worlds.reason.notna().sum()),
            }
        )
    return {"baseline": baseline, "confidence": CONFIDENCE, "clustered_by": "seed", "rows": rows}


def _figures(mine: pd.DataFrame, baseline: pd.DataFrame) -> dict[str, float | int | None]:
    mine = mine[mine.score.notna()]
    pairs = mine.merge(baseline[baseline.score.notna()], on=["seed", "factory"], suffixes=("", "_baseline"))
    scores = clustered(mine.score, mine.seed)
    differences = clustered(pairs.score - pairs.score_baseline, pairs.seed)
    relative = clustered(mine.score - mine.level_score, mine.seed)
    return {
        "n": scores.n,
        **_named(scores, "mean", "low", "high"),
        "pairs": differences.n,
        **_named(differences, "diff", "diff_low", "diff_high"),
        **_named(relative, "relative", "relative_low", "relative_high"),
        **{name: _known(float(mine[name].astype(float).mean())) for name in ("shortfall", "free_units", "bankrupt")},
    }


def _named(interval: Interval, mean: str, low: str, high: str) -> dict[str, float | None]:
    return {mean: _known(interval.mean), low: _known(interval.low), high: _known(interval.high)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def tables(summary: dict[str, Any]) -> tuple[Table, Table]:
    """The summary for people, best mean first: in all, and per level."""
    rows = sorted(summary["rows"], key=lambda row: -math.inf if row["mean"] is None else row["mean"], reverse=True)
    against = f"− {summary['baseline']}"
    whole = _table("n", "score", against, "− level", "short", "free", "defaults", "failed")
    levels = _table(*(heading for name in POSITIONS for heading in (name, against)))
    for row in rows:
        style = "red" if row["failed"] else ""
        whole.add_row(row["variant"], *_whole(row, row["variant"] != summary["baseline"]), style=style)
        levels.add_row(row["variant"], *_levels(row, row["variant"] != summary["baseline"]), style=style)
    return whole, levels


def _table(*headings: str) -> Table:
    empty = Table(box=None, padding=(0, 2, 0, 0))
    empty.add_column("variant", overflow="fold")
    for heading in headings:
        empty.add_column(heading, justify="right")
    return empty


def legend(summary: dict[str, Any]) -> str:
    """What the columns of the tables mean."""
    return (
        f"score: final / initial balance, mean ± half of its {summary['confidence']:.0%} interval (clustered by seed); "
        f"− {summary['baseline']}: minus its score in the same seat of the same world; − level: minus the mean of the "
        "same level of the same world; short, free: units per factory owed and not delivered, made without material; "
        "defaults: answers given for services that gave none; failed: worlds"
    )


def _whole(row: dict[str, Any], paired: bool) -> list[str]:
    return [
        str(row["n"]),
        _with_error(row["mean"], row["high"], "{:.4f}"),
        _with_error(row["diff"], row["diff_high"], "{:+.4f}") if paired else "",
        _with_error(row["relative"], row["relative_high"], "{:+.4f}"),
        _number(row["shortfall"], "{:.1f}"),
        _number(row["free_units"], "{:.1f}"),
        str(row["substituted"]),
        str(row["failed"]),
    ]


def _levels(row: dict[str, Any], paired: bool) -> list[str]:
    cells = []
    for name in POSITIONS:
        at = row["levels"][name]
        cells.append(_number(at["mean"], "{:.4f}"))
        cells.append(_with_error(at["diff"], at["diff_high"], "{:+.4f}") if paired else "")
    return cells


def _with_error(mean: float | None, high: float | None, form: str) -> str:
    if mean is None or high is None:
        return _number(mean, form)
    return f"{form.format(mean)} ± {high - mean:.4f}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
