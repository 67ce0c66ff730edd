"""Puts a safe decision in the place of an unsafe one."""

from __future__ import annotations

from itertools import groupby

from agora.negotiation.ledger import Ledger
from agora.negotiation.legal import ACCEPT, CONSUMER, END_ROW, REJECT, SUPPLIER, Row
from agora.negotiation.worth import Offer, best_substitute, best_that_fit, worth


def offers_to(slots: list[Row], rows: list[Row], wanted: int) -> list[Offer]:
    """What the answers to one kind of partner would accept or offer."""
    found = []
    for i, (slot, (op, delivery, quantity, price)) in enumerate(zip(slots, rows, strict=True)):
        role, _, awaited, _, their_quantity, their_delivery, their_price, *_ = slot
        if role != wanted or not awaited:
            continue
        if op == ACCEPT:
            found.append(Offer(i, role, their_delivery, their_quantity, their_price, accepted=True))
        elif op == REJECT:
            found.append(Offer(i, role, delivery, quantity, price))
    return found


def buying_goes_on(slots: list[Row], rows: list[Row]) -> bool:
    """Whether after these answers a negotiation with a supplier is still running."""
    for (role, running, awaited, *_), (op, *_) in zip(slots, rows, strict=True):
        if role == SUPPLIER and running and (op == REJECT or not awaited):
            return True
    return False


class Rewriting:
    """Fills a ledger that holds our standing offers with the best of a decision's that is safe."""

    def __init__(self, factory: list[float], ledger: Ledger, rows: list[Row]) -> None:
        self.factory, self.ledger = factory, ledger
        self.rows = rows.copy()
        for role in (SUPPLIER, CONSUMER):
            offers = offers_to(ledger.slots, rows, role)
            taken = self._accept([offer for offer in offers if offer.accepted])
            self._offer([offer for offer in offers if offer.slot not in taken])
            if role == SUPPLIER:
                ledger.can_buy = buying_goes_on(ledger.slots, self.rows)

    def _accept(self, offers: list[Offer]) -> set[int]:
        taken = set()
        for delta, group in groupby(sorted(offers, key=_day), key=_day):
            room = self._room(offers[0].role, 1)[delta]
            for offer in best_that_fit(self.factory, list(group), room):
                if offer.quantity <= self._room(offer.role, offer.price)[delta]:
                    self._add(offer)
                    taken.add(offer.slot)
        return taken

    def _offer(self, offers: list[Offer]) -> None:
        for wanted in sorted(offers, key=lambda offer: (-worth(self.factory, offer), offer.slot)):
            offer = best_substitute(wanted, self._room(wanted.role, wanted.price))
            self.rows[wanted.slot] = END_ROW
            if offer is not None:
                self._add(offer)
                self.rows[wanted.slot] = [REJECT, offer.delivery, offer.quantity, offer.price]

    def _add(self, offer: Offer) -> None:
        self.ledger.add(offer.role, offer.delivery, offer.quantity, offer.price, offer.accepted)

    def _room(self, role: int, price: int) -> list[int]:
        if role == CONSUMER:
            return self.ledger.sell_room()
        return self.ledger.buy_room(price)


def _day(offer: Offer) -> int:
    return offer.delivery
