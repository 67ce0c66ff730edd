"""A slow judge of decisions, written from the definitions and sharing nothing with the shield.

It keeps contracts one by one, plays the days through, and tries every subset of the offers that may be accepted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from typing import Any

from agora.negotiation.layout import Answer, Commitment, Factory, Ints, Op, Role, Slot, View


@dataclass(frozen=True)
class Deal:
    """An offer or contract; ``mine_now`` where this decision makes or accepts it, ``sure`` where it accepts it."""

    slot: int
    sells: bool
    delta: int
    units: int
    price: int
    mine_now: bool = False
    sure: bool = False


@dataclass
class Books:
    view: View
    physics: str
    deals: list[Deal] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return float(self.view.factory[Factory[name.upper()]])

    @property
    def days(self) -> range:
        return range(min(len(self.view.commitments), int(self.days_in_game - self.day)))

    @property
    def days_in_game(self) -> float:
        return float(self.view.factory[Factory.DAYS])

    def owed(self, delta: int) -> float:
        nature = self.exogenous_output_quantity if delta == 0 else 0
        mine = sum(deal.units for deal in self.deals if deal.sells and deal.delta == delta)
        return nature + mine + self.view.commitments[delta, Commitment.SALES]

    def coming(self, delta: int) -> float:
        nature = self.exogenous_input_quantity if delta == 0 else 0
        mine = sum(deal.units for deal in self.deals if not deal.sells and deal.delta == delta)
        return nature + mine + self.view.commitments[delta, Commitment.SUPPLIES]

    def bill(self, delta: int) -> float:
        nature = self.exogenous_input_price if delta == 0 else 0
        mine = sum(deal.units * deal.price for deal in self.deals if not deal.sells and deal.delta == delta)
        return nature + mine + self.view.commitments[delta, Commitment.SUPPLIES_COST]

    def store(self, delta: int) -> float:
        store = self.inventory
        for day in range(delta):
            made = min(self.lines, store + self.coming(day), self.owed(day))
            change = self.coming(day) - made
            store += change if self.physics == "conserving" else max(0, change)
        return store

    def makes(self, delta: int) -> float:
        return min(self.lines, self.store(delta) + self.coming(delta))

    def short(self, delta: int) -> float:
        return max(0, self.owed(delta) - self.makes(delta))

    def budget(self, delta: int) -> float:
        def left(last: int) -> float:
            spent = (self.bill(u) + self.production_cost * min(self.lines, self.owed(u)) for u in range(last + 1))
            return self.balance - sum(spent)

        return min(left(k) for k in self.days if k >= delta)

    def usable(self, delta: int) -> float:
        coming = sum(self.coming(u) for u in self.days if u >= delta)
        return self.lines * (self.days_in_game - self.day - delta) - self.store(delta) - coming

    def faults(self, deal: Deal, can_buy: bool) -> set[str]:
        """What is unsafe about one more deal; "covered" apart, ``short`` is for that."""
        found = set()
        if deal.sells:
            if deal.units > self.lines - self.owed(deal.delta):
                found.add("U1")
            if deal.delta == 0 and not can_buy and deal.units > max(0, self.makes(0) - self.owed(0)):
                found.add("U1")
            return found
        if deal.units * deal.price > self.budget(deal.delta):
            found.add("U3")
        if deal.units > self.usable(deal.delta):
            found.add("U4")
        return found


def deals_of(view: View, answers: Ints) -> list[Deal]:
    """What may become a contract: this decision's offers and acceptances, and our offers that still stand."""
    found = []
    for i, (slot, answer) in enumerate(zip(view.slots.tolist(), answers.tolist(), strict=True)):
        sells = slot[Slot.ROLE] == Role.CONSUMER
        own = slot[Slot.OWN_DELIVERY], slot[Slot.OWN_QUANTITY], slot[Slot.OWN_PRICE]
        if slot[Slot.AWAITED] and answer[Answer.OP] == Op.ACCEPT:
            table = slot[Slot.PARTNER_DELIVERY], slot[Slot.PARTNER_QUANTITY], slot[Slot.PARTNER_PRICE]
            found.append(Deal(i, sells, *table, mine_now=True, sure=True))
        elif slot[Slot.AWAITED] and answer[Answer.OP] == Op.REJECT:
            found.append(Deal(i, sells, *answer[Answer.DELIVERY :], mine_now=True))
        elif slot[Slot.RUNNING] and not slot[Slot.AWAITED] and slot[Slot.OWN_QUANTITY]:
            found.append(Deal(i, sells, *own))
    return found


def can_buy_after(view: View, answers: Ints) -> bool:
    """Whether a supplier may still agree to something once these answers are given."""
    open_slots = (view.slots[:, Slot.ROLE] == Role.SUPPLIER) & (view.slots[:, Slot.RUNNING] == 1)
    stays = (view.slots[:, Slot.AWAITED] == 0) | (answers[:, Answer.OP] == Op.REJECT)
    return bool((open_slots & stays).any())


def faults(view: View, answers: Ints, physics: str) -> set[tuple[int, str]]:
    """Slot and fault of every deal that is unsafe after some of the other deals have become contracts.

    In slots that this decision does not answer, only what it breaks: that an offer was made while a purchase was
    possible is no fault of a later decision.
    """
    deals, can_buy = deals_of(view, answers), can_buy_after(view, answers)
    found = set()
    for deal in deals:
        for before in subsets([other for other in deals if other is not deal]):
            bought = {d for d in deals if d.sure and not d.sells}
            if deal.sells and not bought <= {*before, deal}:
                continue  # what is bought in this very decision is there
            books = Books(view, physics, before)
            found |= {(deal.slot, fault) for fault in books.faults(deal, can_buy or not deal.mine_now)}
    return found


def shortfalls(view: View, answers: Ints, physics: str) -> list[float]:
    """Per δ the worst shortfall, over every subset of the offers that may be accepted."""
    deals = deals_of(view, answers)
    sure, open_ = [d for d in deals if d.sure], [d for d in deals if not d.sure]
    cases = [Books(view, physics, [*sure, *chosen]) for chosen in subsets(open_)]
    return [max(books.short(delta) for books in cases) for delta in cases[0].days]


def subsets(deals: Sequence[Deal]) -> Iterator[list[Deal]]:
    every = (combinations(deals, size) for size in range(len(deals) + 1))
    return (list(chosen) for chosen in chain.from_iterable(every))
