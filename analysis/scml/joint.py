"""Whether all that one decision binds, together with what was outstanding, is safe.

Several outstanding offers can be accepted in one round, so acts that are safe one by one may not be so together. A
decision answers for its own accepts and offers, the factory's earlier offers that still stand, and its earlier accepts
that are not yet contracts (see ``standing``).

Each test is one that any order in which a shield may go through these acts must pass: sales for a day are added up
against that day's limit, with what this factory accepted to buy counted as material; purchases are added up against the
money and the room there was. A decision is charged only where it adds something itself:

* J1: sales for a day add up to more than U1 allows. J2: than U2 allows; under "conserving" also sales up to a day, to
  more than is left over on it.
* J3: purchases up to a day cost more than the money there is by then.
* J4: purchases from a day on are more than the room.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from analysis.scml.books import Books, Floats
from analysis.scml.ledger import Act
from analysis.scml.rules import Physics, limits, only
from analysis.scml.standing import NEVER, Lifetimes, outstanding

KINDS: Final = ("J1", "J2", "J3", "J4")


def judge(books: Books, physics: Physics, until: Lifetimes) -> Floats:
    """By how much decisions exceed what was safe.

    Args:
        books: M moments of a factory.
        physics: the rule to judge by.
        until: how long acts stood.

    Returns:
        float64 (M, 4), columns ``KINDS``: units, money for J3; 0 where they do not.
    """
    sold, new_sold, accepted, bought, new_bought, cost = _sums(books, until)
    found = limits(replace(books, supplies=books.supplies + accepted), physics)
    plain = limits(books, physics)
    sells, buys = new_sold > 0, new_bought > 0
    over = np.stack([only(sells, sold - found.sure), only(sells, sold - found.covered)])
    so_far = only(np.cumsum(new_sold, axis=1) > 0, np.cumsum(sold, axis=1) - found.left_over)
    over[1] = np.maximum(over[1], so_far)
    money = only(np.cumsum(new_bought, axis=1) > 0, np.cumsum(cost, axis=1) - plain.money)
    from_day = np.cumsum(bought[:, ::-1], axis=1)[:, ::-1]
    room = only(buys, from_day - plain.room)
    return np.asarray(np.stack([over[0], over[1], money, room]).max(axis=2).T)


def _sums(books: Books, until: Lifetimes) -> Floats:
    """Per moment and day ahead, float64 (6, M, W).

    Units sold and of them by this decision, units accepted to buy, units bought in any way and of them by this
    decision, and the money for those bought in any way.
    """
    sums = np.zeros((6, *books.sales.shape))
    earlier = outstanding(books.decisions, until)
    for moment, (acts, before) in enumerate(zip(books.decisions, earlier, strict=True)):
        for act in before:
            _add(sums[:, moment, act.delivery - act.day], act, own=False)
        for act in acts:
            if act.binds and until[act.sequence, act.negotiation] != NEVER:
                _add(sums[:, moment, act.delivery - act.day], act, own=True)
    return sums


def _add(sums: Floats, act: Act, own: bool) -> None:
    if act.side == "sell":
        sums[0:2] += act.quantity, act.quantity * own
    else:
        accepted = act.quantity * (act.op == "accept")
        sums[2:6] += accepted, act.quantity, act.quantity * own, act.quantity * act.price
