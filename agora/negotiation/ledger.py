"""A factory's books for one decision: what is signed, what may still become a contract, and what room is left.

The pool of material is projected day by day: with I_δ in store in the morning, B_δ coming in and S_δ owed, the factory
makes p_δ = min(L, I_δ + B_δ, S_δ), and I_{δ+1} = I_δ + max(0, B_δ − p_δ) in scml 0.8.4, whose stock is never used up
("engine"), or I_δ + B_δ − p_δ ("conserving").

Offers that may still be accepted count as if they were contracts wherever that makes things worse: sold units must be
made, bought units must be paid and put to use, but bought units are no material until their contract is certain. All
limits fall as sales, and as units to pay, are added; so a set of offers that fits as a whole is safe whichever of
them are accepted, in any order.

Plain lists of numbers: for tables this small they are several times faster than arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from agora.negotiation.layout import Factory, View
from agora.negotiation.legal import CONSUMER, SUPPLIER

Mode = Literal["certain", "covered"]
Physics = Literal["engine", "conserving"]

NEVER: Final = 1 << 30
"""More than any day, quantity or room."""


class Ledger:
    """Books of one factory, to which offers are added. Lists have an entry per δ, 0 to ``last``.

    Attributes:
        slots: the view's slots, as lists; a first proposal that is asked for again is not awaited but stands.
        last: the farthest δ that can be delivered in this game.
        sales: units owed: signed, nature's of today, and in offers that may still be accepted.
        supplies: units coming in, likewise.
        secured: of these, the certain ones.
        due: money for ``supplies``.
        buys: the δs of today's purchases that are not in the factory's books yet.
        can_buy: whether a negotiation with a supplier goes on.
    """

    def __init__(self, view: View, mode: Mode, physics: Physics) -> None:
        """Books with what is signed and with our offers that still stand."""
        factory = view.factory.tolist()
        day, days, _, _, lines, cost, balance, _, inventory, *nature = factory[: Factory.SHORTFALL_PENALTY]
        supplies, due, sales, _ = view.commitments.T.tolist()
        self.slots: list[list[int]] = view.slots.tolist()
        self.covered, self.conserving = mode == "covered", physics == "conserving"
        self.days_left = int(days - day)
        self.last = min(len(sales), self.days_left) - 1
        self.lines, self.inventory = int(lines), int(inventory)
        self.cost: float = cost
        self.balance: float = balance
        self.secured = [int(units) for units in supplies[: self.days_left]]
        self.sales = [int(units) for units in sales[: self.days_left]]
        self.due: list[float] = due[: self.days_left]
        self.secured[0] += int(nature[0])
        self.due[0] += nature[1]
        self.sales[0] += int(nature[2])
        self.signed_sales, self.supplies = self.sales.copy(), self.secured.copy()
        self.buys: set[int] = set()
        self.can_buy = False
        for slot in self.slots:
            role, running, awaited, _, _, _, _, quantity, delivery, price = slot
            if running and role == SUPPLIER:
                self.can_buy = True
            if running and not awaited and quantity > 0 and 0 <= delivery <= self.last:
                self.add(role, delivery, quantity, price)

    def add(self, role: int, delivery: int, quantity: int, price: float, accepted: bool = False) -> None:
        """Count an offer that may become a contract, or that does because it is accepted now."""
        if role == CONSUMER:
            self.sales[delivery] += quantity
            return
        self.supplies[delivery] += quantity
        self.due[delivery] += quantity * price
        self.buys.add(delivery)
        if accepted:
            self.secured[delivery] += quantity

    def stock(self, supplies: Sequence[int], sales: Sequence[int]) -> list[int]:
        """I_δ, δ = 0 to ``last``."""
        pool, stock, lines, conserving = self.inventory, [], self.lines, self.conserving
        for bought, owed in zip(supplies, sales, strict=True):
            stock.append(pool)
            left = bought - min(lines, pool + bought, owed)
            pool += left if conserving or left > 0 else 0
        return stock

    def money(self) -> float:
        """B_free: what can be spent so that all that is due can be paid without revenue.

        It is the least that is left on any day from a delivery on; money only goes out, so that is the last day's.
        """
        lines = self.lines
        return self.balance - sum(self.due) - self.cost * sum([min(lines, owed) for owed in self.sales])

    def useful(self) -> list[int]:
        """Units for δ that the lines could still use after all that is coming in, before the game ends."""
        stock, coming, useful = self.stock(self.supplies, self.signed_sales), 0, [0] * (self.last + 1)
        for delta in range(self.last, -1, -1):
            coming += self.supplies[delta]
            useful[delta] = self.lines * (self.days_left - delta) - stock[delta] - coming
        return useful

    def cover(self) -> list[int]:
        """Units for δ for which there is certain material and a free line; negative: owed without."""
        stock, lines = self.stock(self.secured, self.sales), self.lines
        return [
            min(lines, pool + bought) - owed for pool, bought, owed in zip(stock, self.secured, self.sales, strict=True)
        ]

    def sell_room(self) -> list[int]:
        """Most units that one more offer to sell may name, per δ; below 1 there is no room."""
        if self.covered:
            room = self._covered_room()
        else:
            room = [self.lines - owed for owed in self.sales]
            if not self.can_buy:
                room[0] = min(room[0], self.inventory + self.secured[0] - self.sales[0])
        if self.buys and self.cost > 0:
            # Making what is sold takes money that today's purchases may need.
            payable = int(self.money() // self.cost)
            room = [min(units, payable) for units in room]
        return room

    def _covered_room(self) -> list[int]:
        """As ``cover``, but a sale must not take the material of a later one either."""
        stock, room, keep = self.stock(self.secured, self.sales), [0] * (self.last + 1), NEVER
        for delta in range(self.last, -1, -1):
            owed, material = self.sales[delta], stock[delta] + self.secured[delta]
            room[delta] = min(self.lines, material) - owed
            if self.conserving or keep < self.secured[delta] - owed:
                room[delta] = min(room[delta], keep)
            if owed:
                keep = min(keep, max(0, material - owed))
        return room

    def buy_room(self, price: float) -> list[int]:
        """Most units that one more offer to buy at that price may name, per δ; below 1 there is no room."""
        useful = self.useful()
        most = min([useful[delta] for delta in self.buys], default=NEVER)
        most = min(most, int(self.money() // max(price, 1)))
        return [min(units, most) for units in useful]
