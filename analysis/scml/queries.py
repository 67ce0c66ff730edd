"""Runs, worlds and factories: what the first pages show."""

from __future__ import annotations

from typing import Final

from analysis.scml.runs import NotThereError, Run
from analysis.scml.tables import Row, query
from analysis.scml.verdict import UNSAFE as UNSAFE_KINDS


def variants(run: Run) -> list[Row]:
    """How many worlds each variant has: variant, worlds, sorted by variant.

    Raises:
        BrokenTableError: a table cannot be read.
    """
    return _all(run, "select variant, count(*) as worlds from worlds group by variant order by variant", ["worlds"])


WORLDS: Final = """
    with outcome as (
        select world, bool_or(focal) as has_focal, avg(score) as score, avg(score) filter (where focal) as focal_score,
               sum(shortfall) as shortfall, count(*) filter (where bankrupt_day >= 0) as bankrupt, count(*) as factories
        from factories group by world
    )
    select w.world, w.variant, w.seed, w.days, w.levels, w.physics, w.streams, w.seconds, w.substituted,
           o.has_focal, coalesce(o.focal_score, o.score) as score, o.shortfall, o.bankrupt, o.factories
    from worlds w left join outcome o using (world)
    where ($variant::varchar is null or w.variant = $variant) and ($seed::bigint is null or w.seed = $seed)
    order by w.variant, w.seed, w.world
"""


def worlds(run: Run, variant: str | None = None, seed: int | None = None) -> list[Row]:
    """A row for each world: its columns of ``worlds``, and how its factories ended.

    ``score`` is the mean of the focal factories (final balance / initial balance), or of all where none is focal;
    ``shortfall`` is the sum over all factories, in units.

    Raises:
        BrokenTableError: a table cannot be read.
    """
    return _all(run, WORLDS, ["worlds", "factories"], variant=variant, seed=seed)


def world(run: Run, name: str) -> Row:
    """The row of ``worlds`` of one world.

    Raises:
        BrokenTableError: a table cannot be read, or does not hold the world it is named after.
        NotThereError: there is no such world.
    """
    rows = query(run, "select * from worlds where world = $name", [run.world(name)], ["worlds"], name=name)
    if not rows:
        raise NotThereError(f"{run.files('worlds', [name])[0]}: column 'world': expected {name!r}, found no such row")
    return rows[0]


FACTORIES: Final = """
    with answers as (
        select factory, count(*) as answers, count(*) filter (where edited) as edited,
               count(*) filter (where substituted) as substituted
        from decisions group by factory
    ), flags as (
        select factory, count(distinct sequence) as unsafe from unsafe
        where world = $name and kind in (select unnest($kinds)) group by factory
    )
    select f.*, coalesce(a.answers, 0) as answers, coalesce(a.edited, 0) as edited,
           coalesce(a.substituted, 0) as substituted, coalesce(u.unsafe, 0) as unsafe
    from factories f left join answers a using (factory) left join flags u using (factory)
    order by f.level, len(f.factory), f.factory
"""


def factories(run: Run, name: str) -> list[Row]:
    """The factories of a world, level by level.

    Beside the columns of ``factories``: ``answers``, of which ``edited`` by a shield and ``substituted`` by a default;
    ``unsafe`` decisions.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(run, FACTORIES, [run.world(name)], ["factories", "decisions", "unsafe"], name=name, kinds=UNSAFE_KINDS)


SEATS: Final = "select factory, policy, shield from factories where factory in (select unnest($factories))"


def seats(run: Run, name: str, names: list[str]) -> dict[str, Row]:
    """Who plays these factories: policy and shield of each.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    rows = query(run, SEATS, [run.world(name)], ["factories"], factories=names)
    return {row["factory"]: row for row in rows}


COURSE: Final = """
    select d.factory, list(d.day order by d.day) as day,
           list(d.balance_end order by d.day) as balance,
           list(d.balance_end / nullif(f.initial_balance, 0) order by d.day) as score,
           list(d.shortfall order by d.day) as shortfall
    from days d join factories f using (factory) group by d.factory
"""


def course(run: Run, name: str) -> dict[str, Row]:
    """Per factory its days (T,), and balance (money), score and shortfall (units) at the end of each.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    rows = query(run, COURSE, [run.world(name)], ["days", "factories"])
    return {row["factory"]: row for row in rows}


PRICES: Final = """
    with prices as (
        select f.level as product, d.day, d.input_trading_price as price from days d join factories f using (factory)
        union
        select f.level + 1, d.day, d.output_trading_price from days d join factories f using (factory)
    ), daily as (select product, day, avg(price) as price from prices group by product, day)
    select product, list(day order by day) as day, list(price order by day) as price
    from daily group by product order by product
"""


def prices(run: Run, name: str) -> list[Row]:
    """Per product its trading price (money per unit) by day; product i is what level i buys.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(run, PRICES, [run.world(name)], ["days", "factories"])


def _all(run: Run, sql: str, tables: list[str], **values: object) -> list[Row]:
    names = run.worlds()
    return query(run, sql, names, tables, **values) if names else []
