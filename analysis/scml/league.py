"""Which variant does best: means, intervals, and differences on the same seeds.

Factories of one seed share a world, so an interval takes the seed as its unit: the cluster-robust variance of a mean
(Liang and Zeger 1986, with the factor G / (G − 1)), and Student's t with G − 1 degrees of freedom for G seeds.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import numpy as np
from scipy.special import stdtrit

from analysis.scml.runs import Run
from analysis.scml.tables import BrokenTableError, Row, query

FILE: Final = "league.json"
CONFIDENCE: Final = 0.95

FOCAL: Final = """
    with levels as (
        select *, avg(score) over (partition by world, level) as level_mean from factories
    )
    select w.variant, w.seed, w.days, f.factory, f.level, f.score, f.shortfall, f.free_units,
           f.score - f.level_mean as over_level,
           case when f.shield = 'none' then f.policy else f.policy || ' + ' || f.shield end as policy
    from levels f join worlds w using (world) where f.focal
    order by w.variant, policy, w.seed, w.days, f.factory
"""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval; the interval is NaN where there are fewer than two seeds."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Standing:
    """How the focal factories of one variant and policy did.

    Attributes:
        variant: what was compared.
        policy: who played, and with which shield.
        level: which level this row is about, or None for all.
        n: focal factories.
        seeds: how many seeds they come from.
        score: final balance / initial balance.
        over_level: score minus the mean of all factories of the same level in the same world.
        shortfall: units per factory.
        free_units: units per factory.
        pairs: how many have a partner in the chosen variant.
        paired: score minus the partner's; None without partners.
    """

    variant: str
    policy: str
    level: int | None
    n: int
    seeds: int
    score: Estimate
    over_level: Estimate
    shortfall: float
    free_units: float
    pairs: int
    paired: Estimate | None


def written(run: Run) -> list[Row]:
    """The rows of the run's ``league.json``; none if there is no such file.

    Raises:
        BrokenTableError: the file is not {"rows": [{...}, ...]}.
    """
    path = run.path / FILE
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BrokenTableError(f"{path}: expected JSON, got {error}") from error
    rows = content.get("rows") if isinstance(content, dict) else None
    if not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        raise BrokenTableError(f"{path}: rows: expected a list of objects, got {type(rows).__name__}")
    return rows


def focal(run: Run) -> list[Row]:
    """The focal factories of all worlds: variant, seed, days, factory, level, policy and how they ended.

    Raises:
        BrokenTableError: a table cannot be read.
    """
    names = run.worlds()
    return query(run, FOCAL, names, ["factories", "worlds"]) if names else []


def standings(rows: Sequence[Row], against: str | None = None, by_level: bool = False) -> list[Standing]:
    """Per variant and policy how its focal factories did, the best first.

    Args:
        rows: from ``focal``.
        against: the variant that the others are compared with, on the same seed, days and factory.
        by_level: a row for each level of each variant and policy instead, in the order of levels.
    """
    partners = {_place(row): row["score"] for row in rows if row["variant"] == against}

    def group(row: Row) -> tuple[int, str, str]:
        return (row["level"] if by_level else -1, row["variant"], row["policy"])

    found = [_standing(key, list(rows), partners) for key, rows in groupby(sorted(rows, key=group), group)]
    return sorted(found, key=lambda standing: (-1 if standing.level is None else standing.level, -standing.score.mean))


def _place(row: Row) -> tuple[int, int, str]:
    return row["seed"], row["days"], row["factory"]


def _standing(key: tuple[int, str, str], rows: list[Row], partners: Mapping[tuple[int, int, str], float]) -> Standing:
    level, variant, policy = key
    seeds = [_place(row)[:2] for row in rows]
    paired = [(row["score"] - partners[_place(row)], _place(row)[:2]) for row in rows if _place(row) in partners]
    return Standing(
        variant=variant,
        policy=policy,
        level=None if level < 0 else level,
        n=len(rows),
        seeds=len(set(seeds)),
        score=estimate([row["score"] for row in rows], seeds),
        over_level=estimate([row["over_level"] for row in rows], seeds),
        shortfall=float(np.mean([row["shortfall"] for row in rows])),
        free_units=float(np.mean([row["free_units"] for row in rows])),
        pairs=len(paired),
        paired=estimate([value for value, _ in paired], [seed for _, seed in paired]) if paired else None,
    )


def estimate(values: Sequence[float], clusters: Iterable[object]) -> Estimate:
    """A mean of values (n,), at least one, and its interval, where those of one cluster may depend on one another."""
    sums: dict[object, float] = {}
    mean = float(np.mean(values))
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    count = len(sums)
    if count < 2:
        return Estimate(mean, math.nan, math.nan)
    error = math.sqrt(count / (count - 1) * sum(value**2 for value in sums.values())) / len(values)
    half = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2)) * error
    return Estimate(mean, mean - half, mean + half)
