"""What a factory says when whoever plays it does not answer."""

from __future__ import annotations

import numpy as np

from agora.negotiation.layout import Answer, Factory, Ints, Slot, View
from agora.negotiation.ledger import Ledger, Mode, Physics
from agora.negotiation.legal import ACCEPT_ROW, CONSUMER, END_ROW, REJECT, SUPPLIER, Row, Rules
from agora.negotiation.shield import shield


def default_answer(view: View, mode: Mode = "certain", physics: Physics = "engine") -> Ints:
    """A simple decision that keeps a factory's promises.

    It sells what there is material for and buys what it owes. A consumer's offer is accepted if its units are covered
    and its price pays for production and input; a supplier's if units lack that are owed on its day or later. Else
    consumers are offered what is covered and suppliers asked for what lacks, each on the first such day and at the
    price that the partner likes best. END where there is none.

    Args:
        view: what is to be answered.
        mode: of the shield that it must pass; it passes both.
        physics: whether stock is used up.

    Returns:
        int32 (K, 4), columns ``Answer``; legal and safe.
    """
    factory: list[float] = view.factory.tolist()
    ledger, rules = Ledger(view, "covered", physics), Rules(view)
    rows = [END_ROW] * len(ledger.slots)
    for role, answer in ((SUPPLIER, _buy), (CONSUMER, _sell)):
        for i, slot in enumerate(ledger.slots):
            if slot[Slot.AWAITED] and slot[Slot.ROLE] == role:
                rows[i] = answer(factory, ledger, slot, rules.can_accept(slot))
    return shield(view, np.array(rows, np.int32).reshape(-1, len(Answer)), mode, physics).answers


def _buy(factory: list[float], ledger: Ledger, slot: Row, on_table: bool) -> Row:
    room, lacks = ledger.buy_room(factory[Factory.INPUT_PRICE_HIGH]), _lacks(ledger)
    delta, quantity = slot[Slot.PARTNER_DELIVERY], slot[Slot.PARTNER_QUANTITY]
    if on_table and 0 < quantity <= room[delta] and sum(lacks[delta:]) > 0:
        ledger.add(SUPPLIER, delta, quantity, slot[Slot.PARTNER_PRICE], accepted=True)
        return ACCEPT_ROW
    # Units that other suppliers were asked for are on their way as far as this goes.
    asked = sum(ledger.supplies) - sum(ledger.secured)
    return _first(factory, ledger, SUPPLIER, [min(a, b - asked) for a, b in zip(room, lacks, strict=True)])


def _sell(factory: list[float], ledger: Ledger, slot: Row, on_table: bool) -> Row:
    room = ledger.sell_room()
    delta, quantity, price = slot[Slot.PARTNER_DELIVERY], slot[Slot.PARTNER_QUANTITY], slot[Slot.PARTNER_PRICE]
    pays = price >= factory[Factory.PRODUCTION_COST] + factory[Factory.INPUT_TRADING_PRICE]
    if on_table and pays and 0 < quantity <= room[delta]:
        ledger.add(CONSUMER, delta, quantity, price)
        return ACCEPT_ROW
    return _first(factory, ledger, CONSUMER, room)


def _lacks(ledger: Ledger) -> list[int]:
    """Units owed per δ that the lines could make if there were material."""
    stock = ledger.stock(ledger.secured, ledger.sales)
    return [
        max(0, min(ledger.lines, owed) - pool - bought)
        for pool, bought, owed in zip(stock, ledger.secured, ledger.sales, strict=True)
    ]


def _first(factory: list[float], ledger: Ledger, role: int, units: list[int]) -> Row:
    """An offer on the first day for which there are units."""
    column = Factory.INPUT_PRICE_HIGH if role == SUPPLIER else Factory.OUTPUT_PRICE_LOW
    for delta, most in enumerate(units):
        quantity = min(most, int(factory[Factory.MAX_QUANTITY]))
        if quantity > 0:
            ledger.add(role, delta, quantity, factory[column])
            return [REJECT, delta, quantity, int(factory[column])]
    return END_ROW
