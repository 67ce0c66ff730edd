"""Negotiations: the list of a world's, and one of them move by move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from analysis.scml.runs import NotThereError, Run
from analysis.scml.tables import Row, query
from analysis.scml.verdict import UNSAFE as UNSAFE_KINDS

PAGE: Final = 100
"""How many negotiations a page lists."""

Side = Literal["seller", "buyer"]

LISTED: Final = f"""
    with answers as (
        select negotiation, count(*) as moves, count(*) filter (where edited) as edited,
               count(*) filter (where substituted) as substituted
        from decisions group by negotiation
    ), flags as (
        select negotiation, count(*) filter (where kind in (select unnest($kinds))) as unsafe,
               list(distinct kind order by kind) as kinds
        from unsafe where world = $world group by negotiation
    ), found as (
        select n.negotiation, n.day, n.seller, n.buyer, n.rounds, n.agreed, c.quantity, c.delivery, c.unit_price,
               coalesce(a.moves, 0) as moves, coalesce(a.edited, 0) as edited,
               coalesce(a.substituted, 0) as substituted, coalesce(f.unsafe, 0) as unsafe, f.kinds
        from negotiations n left join answers a using (negotiation) left join flags f using (negotiation)
             left join contracts c on c.negotiation = n.negotiation and not c.exogenous
    )
    select *, count(*) over () as total from found
    where ($day::int is null or day = $day)
      and ($factory::varchar is null or $factory in (seller, buyer))
      and ($agreed::boolean is null or agreed = $agreed)
      and (not $edited::boolean or edited > 0) and (not $substituted::boolean or substituted > 0)
      and (not $unsafe::boolean or unsafe > 0)
    order by day, negotiation limit {PAGE} offset $offset
"""  # noqa: S608  put together from constants

TABLES: Final = ("negotiations", "decisions", "contracts", "unsafe")


@dataclass(frozen=True)
class Wanted:
    """Which negotiations to list; None or False does not restrict.

    Attributes:
        day: on which it ran.
        factory: seller or buyer.
        agreed: whether it ended with a contract.
        edited: only those in which a shield changed an answer.
        substituted: only those in which a default answer stood in.
        unsafe: only those with an unsafe decision.
    """

    day: int | None = None
    factory: str | None = None
    agreed: bool | None = None
    edited: bool = False
    substituted: bool = False
    unsafe: bool = False


@dataclass(frozen=True)
class Offer:
    """Units, the absolute day they are delivered, money per unit."""

    quantity: int
    delivery: int
    price: float


@dataclass(frozen=True)
class Said:
    """An answer: "accept", "reject" or "end", with the offer accepted or made; None is none."""

    op: str
    offer: Offer | None


@dataclass(frozen=True)
class Move:
    """One answer of one side.

    Attributes:
        number: from 1.
        sequence: the world's counter.
        round: of the negotiation.
        side: whose.
        factory: whose.
        sent: what the partner got.
        meant: what the policy had said, where a shield changed it; else None.
        on_table: the partner's offer that it answers.
        standing: each side's latest offer after this move.
        substituted: nobody answered and a default stands in.
        first: a first proposal.
        unsafe: kinds of unsafety the audit found in it, with the excess.
    """

    number: int
    sequence: int
    round: int
    side: Side
    factory: str
    sent: Said
    meant: Said | None
    on_table: Offer | None
    standing: dict[Side, Offer | None]
    substituted: bool
    first: bool
    unsafe: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Replay:
    """A negotiation.

    Attributes:
        about: its row of ``negotiations``; the contract's quantity, delivery and unit_price, if any; and ``before``
            and ``after``, its neighbours in the list of all negotiations, None at its ends.
        moves: in the order of time.
        trading_price: of the product on that day, money per unit, if known.
    """

    about: Row
    moves: list[Move]
    trading_price: float | None


def listed(run: Run, world: str, wanted: Wanted, offset: int = 0) -> list[Row]:
    """``PAGE`` negotiations in the order in which they began, with ``total`` without the limit.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world.
    """
    return query(
        run, LISTED, [run.world(world)], TABLES, world=world, kinds=UNSAFE_KINDS, offset=offset, **vars(wanted)
    )


ABOUT: Final = """
    with ranked as (
        select *, lag(negotiation) over place as before, lead(negotiation) over place as after
        from negotiations window place as (order by day, negotiation)
    )
    select n.*, c.quantity, c.delivery, c.unit_price
    from ranked n left join contracts c on c.negotiation = n.negotiation and not c.exogenous
    where n.negotiation = $negotiation
"""
PRICE: Final = "select output_trading_price as price from days where factory = $seller and day = $day"
MOVES: Final = """
    with flags as (
        select sequence, factory, partner, list(kind order by kind) as kinds, list(excess order by kind) as excesses
        from unsafe where world = $world and negotiation = $negotiation group by sequence, factory, partner
    )
    select d.*, f.kinds, f.excesses
    from decisions d left join flags f using (sequence, factory, partner)
    where d.negotiation = $negotiation order by d.sequence
"""


def replay(run: Run, world: str, negotiation: int) -> Replay:
    """A negotiation, move by move.

    Raises:
        BrokenTableError: a table cannot be read.
        NotThereError: there is no such world or negotiation.
    """
    names = [run.world(world)]
    about = query(run, ABOUT, names, ["negotiations", "contracts"], negotiation=negotiation)
    if not about:
        raise NotThereError(f"World {world} has no negotiation {negotiation}.")
    rows = query(run, MOVES, names, ["decisions", "unsafe"], world=world, negotiation=negotiation)
    price = query(run, PRICE, names, ["days"], seller=about[0]["seller"], day=about[0]["day"])
    return Replay(about[0], _moves(rows), price[0]["price"] if price else None)


def _moves(rows: list[Row]) -> list[Move]:
    moves: list[Move] = []
    standing: dict[Side, Offer | None] = {"seller": None, "buyer": None}
    for number, row in enumerate(rows, start=1):
        side: Side = "seller" if row["side"] == "sell" else "buyer"
        other: Side = "buyer" if side == "seller" else "seller"
        sent = _said(row, "")
        standing = standing | {other: _offer(row, "offer_") or standing[other]}
        if sent.op == "reject":
            standing = standing | {side: sent.offer}
        moves.append(_move(number, row, side, sent, standing))
    return moves


def _move(number: int, row: Row, side: Side, sent: Said, standing: dict[Side, Offer | None]) -> Move:
    return Move(
        number=number,
        sequence=row["sequence"],
        round=row["round"],
        side=side,
        factory=row["factory"],
        sent=sent,
        meant=_said(row, "base_") if row["edited"] else None,
        on_table=_offer(row, "offer_"),
        standing=standing,
        substituted=row["substituted"],
        first=row["first"],
        unsafe=tuple(zip(row["kinds"] or (), row["excesses"] or (), strict=True)),
    )


def _said(row: dict[str, Any], prefix: str) -> Said:
    return Said(row[f"{prefix}op"], _offer(row, prefix))


def _offer(row: dict[str, Any], prefix: str) -> Offer | None:
    quantity = row[f"{prefix}quantity"]
    return Offer(quantity, row[f"{prefix}delivery"], row[f"{prefix}price"]) if quantity else None
