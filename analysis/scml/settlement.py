"""What each day came to, worked out from contracts by the rules of the game and compared with what the engine said.

A factory pays for all that arrives, cheapest first; from the first lot on for which its money, less what it paid so
far, does not cover price and production, it can use only as many units as that money does cover. It makes min(usable,
lines, owed) units, delivers dearest first, and pays a penalty for the rest of what it owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.scml.ledger import Contract, Day, Factory, Ledger

MONEY: float = 1e-4
"""Differences of money below are rounding."""
Lot = tuple[int, float]
"""Units, and money per unit."""


@dataclass(frozen=True)
class Settled:
    """What one factory's days came to, in units.

    Attributes:
        shortfall: owed and not delivered.
        own: of that, owed to other factories: what selling less would have avoided.
        nature: the rest, owed to nature.
        forced: of that, what no policy could have delivered: on each day what nature orders beyond the lines. Material,
            money and partners may stop a factory from delivering more, never less, so this is a lower bound.
        oversold: sold to factories for a day beyond the lines that nature's orders left.
        sold: sold to factories.
        free: made on a day beyond all material received until then and not used before; see the engine's stock, which
            production does not lower.
        disagreements: what differs from the engine's numbers, in words; for days before any bankruptcy.
    """

    shortfall: float
    own: float
    nature: float
    forced: float
    oversold: float
    sold: float
    free: float
    disagreements: tuple[str, ...]


@dataclass(frozen=True)
class _Evening:
    owed: int
    received: int
    produced: int
    balance: float


def settle(ledger: Ledger, factory: Factory, contracts: Sequence[Contract]) -> Settled:
    """Settle all days of a factory.

    Args:
        ledger: the world.
        factory: one of its factories.
        contracts: of this factory, in order.
    """
    days = ledger.days[factory.factory]
    due: dict[int, list[Contract]] = {day.day: [] for day in days}
    for contract in contracts:
        if contract.nullified_day < 0 and not contract.exogenous and contract.delivery in due:
            due[contract.delivery].append(contract)
    evenings = [_settle(factory, day, due[day.day]) for day in days]
    differences = _compare(ledger.physics, factory, days, evenings) + _nature_differs(factory, days, contracts)
    own = nature = 0.0
    for day in days:
        to_nature = max(0.0, day.exogenous_output_quantity - day.produced)
        nature += to_nature
        own += day.shortfall - to_nature
    beyond = [day.exogenous_output_quantity - factory.lines for day in days]
    return Settled(
        shortfall=sum(day.shortfall for day in days),
        own=own,
        nature=nature,
        forced=sum(max(0, more) for more in beyond),
        oversold=sum(max(0, e.owed - factory.lines) - max(0, more) for e, more in zip(evenings, beyond, strict=True)),
        sold=sum(e.owed - day.exogenous_output_quantity for e, day in zip(evenings, days, strict=True)),
        free=_free([day.produced for day in days], [evening.received for evening in evenings]),
        disagreements=tuple(differences),
    )


def _settle(factory: Factory, day: Day, contracts: Sequence[Contract]) -> _Evening:
    bought = [(c.quantity, c.unit_price) for c in contracts if c.buyer == factory.factory]
    sold = [(c.quantity, c.unit_price) for c in contracts if c.seller == factory.factory]
    stock = day.exogenous_input_quantity + day.inventory
    lots_in = [*bought, (stock, day.exogenous_input_price / max(1, stock))]
    nature = day.exogenous_output_quantity
    lots_out = [*sold, (nature, day.exogenous_output_price / max(1, nature))]
    usable = min(_usable(lots_in, day.balance, factory.production_cost), factory.lines)
    owed = sum(quantity for quantity, _ in lots_out)
    produced = min(usable, owed)
    paid = sum(quantity * price for quantity, price in lots_in)
    costs = paid + factory.production_cost * produced + day.shortfall_penalty + day.storage_cost
    received = day.exogenous_input_quantity + sum(quantity for quantity, _ in bought)
    return _Evening(owed, received, produced, day.balance + _earned(lots_out, produced) - costs)


def _usable(lots: Sequence[Lot], balance: float, production_cost: float) -> int:
    """Units of input that the money suffices to pay and to work on."""
    usable, money = 0, balance
    for quantity, price in sorted(lots, key=lambda lot: lot[1]):
        if quantity * (price + production_cost) > money:
            return usable + int(max(0.0, money) // (price + production_cost))
        usable, money = usable + quantity, money - quantity * price
    return usable


def _earned(lots: Sequence[Lot], produced: int) -> float:
    """Money for what was made, the dearest lots served first."""
    earned = 0.0
    for quantity, price in sorted(lots, key=lambda lot: -lot[1]):
        served = min(quantity, produced)
        earned, produced = earned + served * price, produced - served
    return earned


def _free(produced: Sequence[int], received: Sequence[int]) -> int:
    """Units made without material, which is what was received and not yet used."""
    store = free = 0
    for made, arrived in zip(produced, received, strict=True):
        store += arrived
        free += max(0, made - store)
        store = max(0, store - made)
    return free


def _compare(physics: str, factory: Factory, days: Sequence[Day], evenings: Sequence[_Evening]) -> list[str]:
    """How the engine's numbers differ from ours, until bankruptcy."""
    differences = []
    for i, (day, evening) in enumerate(zip(days, evenings, strict=True)):
        if 0 <= factory.bankrupt_day < day.day:
            break
        shortfall = evening.owed - evening.produced
        pairs = [
            ("bought", evening.received, day.bought),
            ("sold", evening.owed, day.sold),
            ("produced", evening.produced, day.produced),
            ("shortfall", shortfall, day.shortfall),
            ("shortfall_penalty", shortfall > 0, day.shortfall_penalty > 0),
            ("balance_end", evening.balance, day.balance_end),
        ]
        if i + 1 < len(days):
            used = evening.produced
            kept = (
                day.inventory + evening.received - used if physics == "conserving" else max(0, evening.received - used)
            )
            stock = kept if physics == "conserving" else day.inventory + kept
            pairs += [
                ("next inventory", stock, days[i + 1].inventory),
                ("next balance", day.balance_end, days[i + 1].balance),
            ]
        differences += [
            f"factory {factory.factory}, day {day.day}: {what}: expected {ours}, got {theirs}"
            for what, ours, theirs in pairs
            if abs(ours - theirs) > MONEY
        ]
    return differences


def _nature_differs(factory: Factory, days: Sequence[Day], contracts: Sequence[Contract]) -> list[str]:
    """Where table ``days`` and nature's contracts differ."""
    differences = []
    for day in days:
        today = [c for c in contracts if c.exogenous and c.delivery == day.day]
        for what, quantity, price, side in (
            ("exogenous_input", day.exogenous_input_quantity, day.exogenous_input_price, "buyer"),
            ("exogenous_output", day.exogenous_output_quantity, day.exogenous_output_price, "seller"),
        ):
            mine = [c for c in today if getattr(c, side) == factory.factory]
            ours = sum(c.quantity for c in mine), sum(c.quantity * c.unit_price for c in mine)
            if abs(ours[0] - quantity) > 0 or abs(ours[1] - price) > MONEY:
                where = f"factory {factory.factory}, day {day.day}: {what}"
                differences.append(f"{where}: expected {ours} (units, money), got {(quantity, price)}")
    return differences


def void(ledger: Ledger) -> list[str]:
    """Where contracts are not void from the first bankruptcy of seller or buyer on, or void without one."""
    bankrupt = {factory.factory: factory.bankrupt_day for factory in ledger.factories if factory.bankrupt_day >= 0}
    differences = []
    for contract in ledger.contracts:
        days = [bankrupt[name] for name in (contract.seller, contract.buyer) if name in bankrupt]
        # What is due on the day itself is delivered before anybody is found bankrupt.
        expected = min(days) if days and min(days) < contract.delivery and not contract.exogenous else -1
        if contract.nullified_day != expected:
            where = f"contract {contract.sequence} of {contract.seller} and {contract.buyer}"
            what = f"nullified_day: expected {expected}, got {contract.nullified_day}"
            differences.append(f"{where}, due on day {contract.delivery}: {what}")
    return differences
