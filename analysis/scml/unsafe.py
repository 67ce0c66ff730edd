"""Decisions that the audit found unsafe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from analysis.scml.runs import Run
from analysis.scml.tables import Row, has_audit, query

PAGE: Final = 200
"""How many findings a page lists."""

WHOSE: Final = """
    select u.*, w.variant, w.seed, f.focal,
           case when f.shield = 'none' then f.policy else f.policy || ' + ' || f.shield end as policy
    from unsafe u left join worlds w using (world) left join factories f using (world, factory)
"""

FOUND: Final = f"""
    select *, count(*) over () as total from ({WHOSE})
    where ($world::varchar is null or world = $world) and ($variant::varchar is null or variant = $variant)
      and ($factory::varchar is null or factory = $factory) and ($kind::varchar is null or kind = $kind)
      and ($policy::varchar is null or policy = $policy) and (not $focal::boolean or focal)
    order by variant, seed, world, sequence, factory, partner, kind limit {PAGE} offset $offset
"""  # noqa: S608  put together from constants

PLACES: Final = """
    select world, sequence, factory, partner, day, round, op, quantity, delivery, price, side
    from decisions where sequence in (select unnest($sequences))
"""

COUNTS: Final = f"""
    select variant, policy, focal, kind, count(*) as findings, count(distinct world) as worlds, sum(excess) as excess
    from ({WHOSE}) group by all order by variant, focal desc, policy, kind
"""  # noqa: S608  put together from constants

TABLES: Final = ("unsafe", "worlds", "factories")


@dataclass(frozen=True)
class Wanted:
    """Which findings to list; None or False does not restrict.

    Attributes:
        variant: of the world.
        policy: of the factory, with its shield: "penguin + certain".
        focal: only factories that a comparison is about.
        world: where.
        factory: whose.
        kind: which.
    """

    variant: str | None = None
    policy: str | None = None
    focal: bool = False
    world: str | None = None
    factory: str | None = None
    kind: str | None = None


def unsafe(run: Run, wanted: Wanted, offset: int = 0) -> list[Row]:
    """``PAGE`` rows of ``unsafe.parquet`` in the order of worlds and time, with ``total`` without the limit.

    Each also has its world's variant and seed, its factory's policy and focal, and the day, round, op, quantity,
    delivery, price and side of the decision; None where that was not logged.

    Raises:
        BrokenTableError: a table cannot be read.
    """
    names = run.worlds()
    if not (has_audit(run) and names):
        return []
    rows = query(run, FOUND, names, TABLES, **vars(wanted), offset=offset)
    known = {row["world"] for row in rows} & set(names)
    places = _places(run, sorted(known), [row["sequence"] for row in rows]) if known else {}
    nowhere = dict.fromkeys(("day", "round", "op", "quantity", "delivery", "price", "side"))
    return [row | places.get(_key(row), nowhere) for row in rows]


def counts(run: Run) -> list[Row]:
    """Per variant, policy and kind: how many findings in how many worlds, and the sum of their excess.

    Raises:
        BrokenTableError: a table cannot be read.
    """
    names = run.worlds()
    return query(run, COUNTS, names, TABLES) if has_audit(run) and names else []


def _key(row: Row) -> tuple[str, int, str, str]:
    return row["world"], row["sequence"], row["factory"], row["partner"]


def _places(run: Run, worlds: list[str], sequences: list[int]) -> dict[tuple[str, int, str, str], Row]:
    return {_key(row): row for row in query(run, PLACES, worlds, ["decisions"], sequences=sequences)}
