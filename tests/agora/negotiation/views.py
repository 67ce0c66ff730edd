"""Views and answers to test with."""

from collections.abc import Mapping, Sequence

import numpy as np

from agora.negotiation.layout import Commitment, Factory, Ints, Op, Role, Slot, View, empty_view

Three = tuple[int, int, int]
HORIZON = 4
ACCEPT = (int(Op.ACCEPT), 0, 0, 0)
END = (int(Op.END), 0, 0, 0)

# A middle factory on day 5 of 50 with 10 lines, plenty of money and empty books.
PLAIN = {
    Factory.DAY: 5,
    Factory.DAYS: 50,
    Factory.LEVEL: 1,
    Factory.LEVELS: 3,
    Factory.LINES: 10,
    Factory.PRODUCTION_COST: 2,
    Factory.BALANCE: 10_000,
    Factory.INITIAL_BALANCE: 10_000,
    Factory.SHORTFALL_PENALTY: 8,
    Factory.STORAGE_COST: 0.3,
    Factory.INPUT_TRADING_PRICE: 10,
    Factory.OUTPUT_TRADING_PRICE: 17,
    Factory.INPUT_PRICE_LOW: 9,
    Factory.INPUT_PRICE_HIGH: 11,
    Factory.OUTPUT_PRICE_LOW: 15,
    Factory.OUTPUT_PRICE_HIGH: 18,
    Factory.MAX_QUANTITY: 30,
}


def build(
    slots: Sequence[Mapping[Slot, int]] = (),
    supplies: Mapping[int, int] | None = None,
    sales: Mapping[int, int] | None = None,
    price: int = 10,
    **factory: float,
) -> View:
    """A view; ``supplies`` and ``sales`` are units by δ, at ``price``; factory columns by lower-case name."""
    view = empty_view(len(slots), HORIZON)
    for column, value in (PLAIN | {Factory[name.upper()]: value for name, value in factory.items()}).items():
        view.factory[column] = value
    for delta, units in (supplies or {}).items():
        view.commitments[delta, [Commitment.SUPPLIES, Commitment.SUPPLIES_COST]] = units, units * price
    for delta, units in (sales or {}).items():
        view.commitments[delta, Commitment.SALES] = units
    for row, slot in zip(view.slots, slots, strict=True):
        for column, value in slot.items():
            row[column] = value
    return view


def slot(
    role: Role, table: tuple[int, int, int] = (0, 0, 0), own: tuple[int, int, int] | None = None
) -> dict[Slot, int]:
    """A running slot: it awaits an answer to ``table``, or ``own`` stands; both are (δ, quantity, price)."""
    (delta, units, price), mine = table, own or (0, 0, 0)
    return {
        Slot.ROLE: role,
        Slot.RUNNING: 1,
        Slot.AWAITED: own is None,
        Slot.PARTNER_DELIVERY: delta,
        Slot.PARTNER_QUANTITY: units,
        Slot.PARTNER_PRICE: price,
        Slot.OWN_DELIVERY: mine[0],
        Slot.OWN_QUANTITY: mine[1],
        Slot.OWN_PRICE: mine[2],
    }


def supplier(table: Three = (0, 0, 0), own: Three | None = None) -> dict[Slot, int]:
    return slot(Role.SUPPLIER, table, own)


def consumer(table: Three = (0, 0, 0), own: Three | None = None) -> dict[Slot, int]:
    return slot(Role.CONSUMER, table, own)


def offer(delta: int, units: int, price: int) -> tuple[int, int, int, int]:
    return int(Op.REJECT), delta, units, price


def answers(*rows: tuple[int, int, int, int]) -> Ints:
    return np.array(rows, np.int32).reshape(-1, 4)
