"""The shield: the safe answers nearest to a policy's, for all slots of a decision together.

Safe means that no certain shortfall, no unpayable and no useless purchase can come of the answers, whichever of the
factory's offers are accepted later today (``agora.negotiation.bounds``). A decision that is safe as a whole is left as
it is. Otherwise purchases are settled before sales, since they decide which material there is and whether more can
come; and of each, ACCEPTs before offers: the accepted subset that is worth most, then the offers, worthiest first,
each with as many of its units, as near to its day, as pays best (``agora.negotiation.worth``). An ACCEPT that does not
fit becomes such an offer at the partner's own price. END remains where no day has room for a single unit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.layout import Answer, Ints, View
from agora.negotiation.ledger import Ledger, Mode, Physics
from agora.negotiation.legal import CONSUMER, REJECT, SUPPLIER, Row, Rules
from agora.negotiation.rewrite import Rewriting, buying_goes_on, offers_to
from agora.negotiation.worth import Offer


class Shielded(NamedTuple):
    """A decision as it leaves the factory.

    Attributes:
        answers: int32 (K, 4), columns ``Answer``; legal.
        edited: bool (K,), where it does something else than the policy said.
    """

    answers: Ints
    edited: NDArray[np.bool_]


def shield(view: View, answers: Ints, mode: Mode, physics: Physics = "engine") -> Shielded:
    """Make answers legal and safe.

    Args:
        view: what they are to.
        answers: int32 (K, 4), columns ``Answer``; any numbers.
        mode: which sales are safe: "certain": all but certain shortfalls; "covered": those with material.
        physics: whether stock is used up.

    Raises:
        ValueError: answers of another shape than the view's slots ask for.
    """
    if answers.shape != (len(view.slots), len(Answer)):
        raise ValueError(f"answers: expected shape {(len(view.slots), len(Answer))}, got {answers.shape}")
    said: list[Row] = answers.tolist()
    ledger = Ledger(view, mode, physics)
    rules = Rules(view)
    slots: list[Row] = view.slots.tolist()
    rows = [rules.legal(slot, row) for slot, row in zip(slots, said, strict=True)]
    if not _is_safe(ledger, rows):
        rows = Rewriting(view.factory.tolist(), Ledger(view, mode, physics), rows).rows
    edited = [
        awaited == 1 and row != was and (row[0] != was[0] or row[0] == REJECT)
        for (_, _, awaited, *_), row, was in zip(slots, rows, said, strict=True)
    ]
    return Shielded(np.array(rows, np.int32).reshape(answers.shape), np.array(edited, np.bool_))


def legalise(view: View, answers: Ints) -> Ints:
    """The legal answers nearest to these.

    An ACCEPT without a partner's offer becomes the offer beside it; an offer's δ, quantity and price are brought into
    their ranges; an offer of no units, an unknown operation, and any answer where none is awaited become END. Columns
    that an operation ignores become 0.

    Args:
        view: what the answers are to.
        answers: int32 (K, 4), columns ``Answer``.

    Returns:
        int32 (K, 4).
    """
    rules, rows = Rules(view), zip(view.slots.tolist(), answers.tolist(), strict=True)
    return np.array([rules.legal(slot, row) for slot, row in rows], np.int32).reshape(-1, len(Answer))


def _is_safe(ledger: Ledger, rows: list[Row]) -> bool:
    """Whether all the offers fit together; they stay in the ledger."""
    buys = offers_to(ledger.slots, rows, SUPPLIER)
    sells = offers_to(ledger.slots, rows, CONSUMER)
    for offer in buys:
        ledger.add(offer.role, offer.delivery, offer.quantity, offer.price, offer.accepted)
    ledger.can_buy = buying_goes_on(ledger.slots, rows)
    before = ledger.cover() if ledger.covered and sells else []
    for offer in sells:
        ledger.add(offer.role, offer.delivery, offer.quantity, offer.price)
    return _is_paid(ledger, buys, sells) and _is_useful(ledger, buys) and _is_made(ledger, sells, before)


def _is_paid(ledger: Ledger, buys: list[Offer], sells: list[Offer]) -> bool:
    costly = buys or (sells and ledger.buys and ledger.cost > 0)
    return not costly or ledger.money() >= 0


def _is_useful(ledger: Ledger, buys: list[Offer]) -> bool:
    if not buys:
        return True
    useful = ledger.useful()
    return all(useful[delta] >= 0 for delta in ledger.buys)


def _is_made(ledger: Ledger, sells: list[Offer], before: list[int]) -> bool:
    if not sells:
        return True
    if ledger.covered:
        return all(now >= min(0, then) for now, then in zip(ledger.cover(), before, strict=True))
    if any(ledger.sales[offer.delivery] > ledger.lines for offer in sells):
        return False
    today = any(offer.delivery == 0 for offer in sells)
    return ledger.can_buy or not today or ledger.sales[0] <= ledger.inventory + ledger.secured[0]
