"""One factory's days: what it had, what it had promised, and what it would have needed."""

from __future__ import annotations

from typing import Final

from analysis.scml.queries import factories
from analysis.scml.runs import NotThereError, Run
from analysis.scml.tables import Row, query

KNOWN: Final = """
    c.delivery >= m.day and (c.day < m.day or (c.exogenous and c.day = m.day))
    and (c.nullified_day = -1 or c.nullified_day >= m.day)
"""
"""Contracts that a factory has in its books on the morning of day m: signed before, or nature's of that day."""

DAYS: Final = f"""
    with m as (select * from days where factory = $factory),
    due as (
        select m.day, m.lines, c.delivery, sum(c.quantity) as units
        from m join contracts c on c.seller = $factory and {KNOWN} group by m.day, m.lines, c.delivery
    ),
    needed as (select day, sum(least(lines, units)) as target, count(*) as productive_days from due group by day),
    ordered as (
        select m.day, sum(c.quantity) as units, sum(c.quantity * c.unit_price) as money
        from m join contracts c on c.buyer = $factory and {KNOWN} group by m.day
    )
    select m.*, coalesce(n.target, 0)::bigint as target, coalesce(n.productive_days, 0) as productive_days,
           (m.inventory + coalesce(o.units, 0))::bigint as secured, m.balance - coalesce(o.money, 0) as free_cash
    from m left join needed n using (day) left join ordered o using (day) order by m.day
"""  # noqa: S608  put together from constants


def factory(run: Run, world: str, name: str) -> Row:
    """The factory's row.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world or factory.
    """
    for row in factories(run, world):
        if row["factory"] == name:
            return row
    raise NotThereError(f"World {world} has no factory {name!r}.")


def days(run: Run, world: str, name: str) -> list[Row]:
    """The factory's rows of ``days``, each with what its books said that morning.

    ``target``: units of material that the contracts signed by then still need, at most ``lines`` a day on each day
    with something to deliver (``productive_days``). ``secured``: units in store and on order. ``free_cash``: money
    left once all material on order is paid.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(run, DAYS, [run.world(world)], ["days", "contracts"], factory=name)


COMMITMENTS: Final = """
    select d.day,
           coalesce(sum(quantity) filter (where buyer = $factory and not exogenous), 0)::bigint as bought,
           coalesce(sum(quantity) filter (where buyer = $factory and exogenous), 0)::bigint as bought_from_nature,
           coalesce(sum(quantity) filter (where seller = $factory and not exogenous), 0)::bigint as sold,
           coalesce(sum(quantity) filter (where seller = $factory and exogenous), 0)::bigint as sold_to_nature
    from days d left join contracts c
         on c.delivery = d.day and $factory in (c.seller, c.buyer)
            and (c.nullified_day = -1 or c.nullified_day >= c.delivery)
    where d.factory = $factory group by d.day order by d.day
"""


def commitments(run: Run, world: str, name: str) -> list[Row]:
    """Per day the units that the factory's contracts have for it, without nullified ones.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(run, COMMITMENTS, [run.world(world)], ["days", "contracts"], factory=name)


SIGNED: Final = """
    select day, sum(quantity * unit_price) filter (where buyer = $factory)
                / nullif(sum(quantity) filter (where buyer = $factory), 0) as bought_at,
           sum(quantity * unit_price) filter (where seller = $factory)
                / nullif(sum(quantity) filter (where seller = $factory), 0) as sold_at
    from contracts where not exogenous and (seller = $factory or buyer = $factory) group by day order by day
"""


def signed_prices(run: Run, world: str, name: str) -> list[Row]:
    """Per day on which something was signed: the mean price per unit bought and sold, None where nothing was.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(run, SIGNED, [run.world(world)], ["contracts"], factory=name)
