"""A factory's books at each moment when it decided: what it owned and what was signed for the days ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.scml.ledger import Act, Contract, Day, Factory, Ledger
from analysis.scml.tables import BrokenTableError

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Books:
    """M moments of one factory, W days from the moment's day on.

    Attributes:
        lines: L, units a day.
        production_cost: c, money per unit.
        decisions: the acts of each moment.
        days_left: float64 (M,), days that can still be produced on, today among them.
        can_buy: bool (M,), something may still be bought for today.
        balance: float64 (M,), money this morning.
        inventory: float64 (M,), units of input this morning.
        sales: float64 (M, W), units owed on each day, to nature too where that is known (today).
        supplies: float64 (M, W), units of input that arrive on each day, from nature too.
        due: float64 (M, W), money to pay for them.
    """

    lines: int
    production_cost: float
    decisions: list[list[Act]]
    days_left: Floats
    can_buy: Flags
    balance: Floats
    inventory: Floats
    sales: Floats
    supplies: Floats
    due: Floats


def width(ledger: Ledger) -> int:
    """W: one more than the furthest delivery of any contract or offer of a world, in days ahead.

    Raises:
        BrokenTableError: something is to be delivered before it is agreed.
    """
    ahead = [contract.delivery - contract.day for contract in ledger.contracts]
    ahead += [act.delivery - act.day for acts in ledger.acts.values() for act in acts if act.binds]
    if min(ahead, default=0) < 0:
        raise BrokenTableError(
            f"world {ledger.world}: column 'delivery' of contracts or decisions: expected no day before column 'day'"
        )
    return 1 + max(ahead, default=0)


def reconstruct(ledger: Ledger, factory: Factory, contracts: Sequence[Contract], days_ahead: int) -> Books:
    """A factory's books.

    Args:
        ledger: the world.
        factory: one of its factories.
        contracts: of this factory, in order.
        days_ahead: W.

    Raises:
        BrokenTableError: the factory decided on a day of which table ``days`` knows nothing.
    """
    decisions = _moments(ledger.acts[factory.factory])
    days = {day.day: day for day in ledger.days[factory.factory]}
    for acts in decisions:
        if acts[0].day not in days:
            raise BrokenTableError(
                f"days: expected day {acts[0].day} of factory {factory.factory} in world {ledger.world}, found none"
            )
    mornings = [days[acts[0].day] for acts in decisions]
    signed = _signed(factory.factory, decisions, contracts, days_ahead)
    nature = np.array([_nature(day) for day in mornings], float).reshape(-1, 3)
    signed[:, :, 0] += nature.T
    return Books(
        factory.lines,
        factory.production_cost,
        decisions,
        np.array([ledger.days_planned - day.day for day in mornings], float),
        np.array([acts[0].can_buy for acts in decisions], bool),
        np.array([day.balance for day in mornings], float),
        np.array([day.inventory for day in mornings], float),
        *signed,
    )


def _moments(acts: Sequence[Act]) -> list[list[Act]]:
    """Acts by decision; those that bind nobody stay, for they end offers."""
    moments: list[list[Act]] = []
    for act in acts:
        if not moments or moments[-1][0].sequence != act.sequence:
            moments.append([])
        moments[-1].append(act)
    return moments


def _nature(day: Day) -> tuple[int, int, float]:
    return day.exogenous_output_quantity, day.exogenous_input_quantity, day.exogenous_input_price


def _signed(name: str, decisions: list[list[Act]], contracts: Sequence[Contract], days_ahead: int) -> Floats:
    """Sales, supplies and money due without nature's: float64 (3, M, W)."""
    rows = np.zeros((3, len(decisions), days_ahead))
    last = max([acts[0].day for acts in decisions] + [contract.delivery for contract in contracts], default=0)
    running = np.zeros((3, last + days_ahead + 1))
    waiting = [contract for contract in contracts if not contract.exogenous][::-1]
    voidable: list[Contract] = []
    for i, acts in enumerate(decisions):
        day, sequence = acts[0].day, acts[0].sequence
        while waiting and waiting[-1].sequence < sequence:
            contract = waiting.pop()
            _enter(running, name, contract, 1)
            if contract.nullified_day >= 0:
                voidable.append(contract)
        for contract in [contract for contract in voidable if not contract.stands(day)]:
            _enter(running, name, contract, -1)
            voidable.remove(contract)
        rows[:, i] = running[:, day : day + days_ahead]
    return rows


def _enter(running: Floats, name: str, contract: Contract, sign: int) -> None:
    if contract.seller == name:
        running[0, contract.delivery] += sign * contract.quantity
    else:
        running[1, contract.delivery] += sign * contract.quantity
        running[2, contract.delivery] += sign * contract.quantity * contract.unit_price
