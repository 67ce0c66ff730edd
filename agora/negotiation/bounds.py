"""How much a factory can safely promise, day by day, and which actions that leaves open.

With today d, t = d + δ, S_t units owed and B_t units bought for t (today with nature's), K_t the money due for B_t, L
lines, I_δ the projected stock (``agora.negotiation.ledger``), M the balance, c the production cost and N the days:

* capacity[δ] = max(0, L − S_t): units that the lines can still make.
* covered[δ] = max(0, min(L, I_δ + B_t) − S_t): those for which there is material already.
* budget[δ] = min over k ≥ δ of M − Σ_{u ≤ k} (K_u + c·min(L, S_u)), without any revenue, which is uncertain; as money
  only goes out, it is the same for every δ.
* q_useful[δ] = L·(N − t) − I_δ − Σ_{u ≥ t} B_u: units that the lines could use before the game ends.

Selling more than capacity[δ], or more than covered[0] today when nothing can be bought today any more, is a certain
shortfall; buying for more than budget[δ] may be impossible to pay; buying more than q_useful[δ] is useless. In all of
them our offers that still stand count like contracts, but a standing purchase is no material.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.layout import Factory, Floats, Ints, Op, Role, Slot, View
from agora.negotiation.ledger import Ledger, Mode, Physics
from agora.negotiation.legal import Rules


@dataclass(frozen=True)
class Bounds:
    """Limits on one more offer, per δ; 0 where δ is past the end of the game.

    Attributes:
        q_safe: int32 (H + 1,), most units to buy that are useful and can be paid at any price of the range; 0 for the
            first level, which has no suppliers.
        q_safe_sell: int32 (H + 1,), most units to sell; 0 for the last level, which has no consumers. In "certain"
            mode ``capacity``, today ``covered`` when nothing can be bought any more; in "covered" mode ``covered``,
            less what is needed for later sales. In both no more than can be made for the money that is left after our
            own standing offers to buy.
        capacity: int32 (H + 1,).
        covered: int32 (H + 1,).
        budget: float64 (H + 1,), money; negative where what is due cannot be paid without revenue.
        open: bool (3, H + 1), row ``Role``: whether an offer of one unit at the best price is safe (the time mask).
    """

    q_safe: Ints
    q_safe_sell: Ints
    capacity: Ints
    covered: Ints
    budget: Floats
    open: NDArray[np.bool_]


def bounds(view: View, mode: Mode, physics: Physics = "engine") -> Bounds:
    """Limits from the books as they are, before any answer of this decision.

    Args:
        view: the books.
        mode: what limits sales: "certain" forbids certain shortfalls only, "covered" all sales without material.
        physics: whether stock is used up.
    """
    ledger, days = Ledger(view, mode, physics), len(view.commitments)
    buys, sells = _sides(view)
    q_safe_sell = _units([units * sells for units in ledger.sell_room()], days)
    cheapest, dearest = float(view.factory[Factory.INPUT_PRICE_LOW]), float(view.factory[Factory.INPUT_PRICE_HIGH])
    opened = np.zeros((len(Role), days), np.bool_)
    opened[Role.SUPPLIER] = _units([units * buys for units in ledger.buy_room(cheapest)], days) >= 1
    opened[Role.CONSUMER] = q_safe_sell >= 1
    return Bounds(
        q_safe=_units([units * buys for units in ledger.buy_room(dearest)], days),
        q_safe_sell=q_safe_sell,
        capacity=_units([ledger.lines - owed for owed in ledger.sales], days),
        covered=_units(ledger.cover(), days),
        budget=np.array([ledger.money()] * (ledger.last + 1) + [0.0] * (days - ledger.last - 1)),
        open=opened,
    )


def _sides(view: View) -> tuple[bool, bool]:
    """Whether the factory buys from others, and whether it sells to others."""
    level = view.factory[Factory.LEVEL]
    return bool(level > 0), bool(level < view.factory[Factory.LEVELS] - 1)


def _units(values: Sequence[int], days: int) -> Ints:
    return np.array([max(0, value) for value in values] + [0] * (days - len(values)), np.int32)


def masks(view: View, mode: Mode | None = None, physics: Physics = "engine") -> dict[str, NDArray[np.uint8]]:
    """Which operations and deliveries are open in each slot.

    Legality, and with a mode safety too: a bit is 0 only where the shield lets no such answer out, whatever is said in
    the other slots. Rows of slots that await no answer are 0. An open delivery is one for which some quantity and
    price will do. Where a first proposal is asked for again, only the one that was made is open.

    Args:
        view: what is to be answered.
        mode: of the shield; None: legality only.
        physics: as for ``bounds``.

    Returns:
        "op", uint8 (K, 3), columns ``Op``, and "delivery", uint8 (K, H + 1), open where the operation is REJECT.
    """
    rules, days = Rules(view), len(view.commitments)
    limits = None if mode is None else _Widest(view, mode, physics)
    slots: list[list[int]] = view.slots.tolist()
    op = np.zeros((len(slots), len(Op)), np.uint8)
    delivery = np.zeros((len(slots), days), np.uint8)
    for i, slot in enumerate(slots):
        if not slot[Slot.AWAITED] or slot[Slot.ROLE] == Role.NOBODY:
            continue
        delivery[i, : rules.last + 1] = 1 if limits is None else limits.open(slot[Slot.ROLE])
        accept = rules.can_accept(slot) and (limits is None or limits.may_accept(slot))
        op[i] = accept, delivery[i].any(), True
    return {"op": op, "delivery": delivery}


class _Widest:
    """The widest limits that any answers in the other slots can leave: all offered material is certain already."""

    def __init__(self, view: View, mode: Mode, physics: Physics) -> None:
        ledger = Ledger(view, mode, physics)
        self.low = float(view.factory[Factory.INPUT_PRICE_LOW])
        self.useful, self.money = ledger.useful(), ledger.money()
        for slot in ledger.slots:
            on_time = 0 <= slot[Slot.PARTNER_DELIVERY] <= ledger.last
            if slot[Slot.ROLE] == Role.SUPPLIER and slot[Slot.AWAITED] and on_time:
                ledger.secured[slot[Slot.PARTNER_DELIVERY]] += slot[Slot.PARTNER_QUANTITY]
        # Not sell_room: what later sales need of the material depends on the other answers.
        self.room = ledger.cover() if ledger.covered else ledger.sell_room()

    def open(self, role: int) -> list[bool]:
        if role == Role.CONSUMER:
            return [units >= 1 for units in self.room]
        return [units >= 1 and self.money >= self.low for units in self.useful]

    def may_accept(self, slot: list[int]) -> bool:
        delta, quantity = slot[Slot.PARTNER_DELIVERY], slot[Slot.PARTNER_QUANTITY]
        if slot[Slot.ROLE] == Role.CONSUMER:
            return quantity <= self.room[delta]
        return quantity <= self.useful[delta] and quantity * slot[Slot.PARTNER_PRICE] <= self.money
