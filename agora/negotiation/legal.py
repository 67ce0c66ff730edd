"""Which answers the game accepts, whatever they do to the factory."""

from __future__ import annotations

from typing import Final

from agora.negotiation.layout import Factory, Op, Role, View

Row = list[int]
"""A slot's row, columns ``Slot``, or an answer's, columns ``Answer``."""

# Members of an enumeration are looked up by name, which is slow where this runs.
SUPPLIER: Final = int(Role.SUPPLIER)
CONSUMER: Final = int(Role.CONSUMER)
ACCEPT: Final = int(Op.ACCEPT)
REJECT: Final = int(Op.REJECT)
ACCEPT_ROW: Final[Row] = [ACCEPT, 0, 0, 0]
END_ROW: Final[Row] = [int(Op.END), 0, 0, 0]


class Rules:
    """Ranges of offers today.

    Attributes:
        last: the farthest δ at which something can be delivered.
        most: units.
        prices: per ``Role``, lowest and highest.
    """

    def __init__(self, view: View) -> None:
        factory = view.factory.tolist()
        self.last = min(len(view.commitments), int(factory[Factory.DAYS] - factory[Factory.DAY])) - 1
        low_in, high_in, low_out, high_out, most, self.first = factory[Factory.INPUT_PRICE_LOW : Factory.FIRST + 1]
        self.most = int(most)
        self.prices = ((0, 0), (int(low_in), int(high_in)), (int(low_out), int(high_out)))

    def legal(self, slot: Row, answer: Row) -> Row:
        """The legal answer nearest to one; END in a slot that awaits none."""
        role, awaited = slot[0], slot[2]
        if not awaited or not role:
            return END_ROW
        op, delivery, quantity, price = answer
        if op == ACCEPT and self.can_accept(slot):
            return ACCEPT_ROW
        if op not in (ACCEPT, REJECT) or quantity < 1:
            return END_ROW
        low, high = self.prices[role]
        return [REJECT, min(max(delivery, 0), self.last), min(quantity, self.most), min(max(price, low), high)]

    def can_accept(self, slot: Row) -> bool:
        """Whether there is an offer on the table that can be accepted."""
        quantity, delivery = slot[4:6]
        return quantity > 0 and 0 <= delivery <= self.last and not self.first
