"""How long each offer and accept stood: from when it was said to when it was answered, replaced, signed or too late."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

from analysis.scml.ledger import Act, Ledger

DAY_END: Final = sys.maxsize
NEVER: Final = -1
Lifetimes = Mapping[tuple[int, int], int]
"""By sequence and negotiation of an act: the sequence at which it stands no more; ``DAY_END`` if it stood all day,
``NEVER`` if it never went out."""


def lifetimes(ledger: Ledger) -> dict[tuple[int, int], int]:
    """How long the binding acts of a world stood.

    An accept stands until it is a contract. An offer stands until its partner refuses it or the contract is signed,
    until the factory's next answer in that negotiation, or until the negotiation ends.
    """
    talks: dict[int, list[Act]] = defaultdict(list)
    for act in sorted(chain.from_iterable(ledger.acts.values()), key=lambda act: act.sequence):
        talks[act.negotiation].append(act)
    signed = {contract.negotiation: contract.sequence for contract in ledger.contracts}
    found: dict[tuple[int, int], int] = {}
    for number, acts in talks.items():
        unsent = _unsent(acts)
        found |= {(act.sequence, number): NEVER for act in unsent}
        sent = [act for act in acts if act not in unsent]
        ended = ledger.ended.get(number, DAY_END)
        for i, act in enumerate(sent):
            replies = (later.sequence for later in sent[i + 1 :] if _settles(act, later))
            found[act.sequence, number] = min(chain(replies, (signed.get(number, ended), ended)))
    return found


def _unsent(acts: list[Act]) -> list[Act]:
    """First proposals that never went out.

    The engine asks a policy for all its first proposals again when one is missing, and keeps those that it has sent. So
    where a partner is seen to answer an earlier one, that one stood, and what was said after it is void.
    """
    unsent: list[Act] = []
    for name in {act.factory for act in acts}:
        firsts = [act for act in acts if act.factory == name and act.first]
        seen = next((_table(act) for act in acts if act.factory != name and act.offer_quantity > 0), None)
        sent = [i for i, act in enumerate(firsts) if act.binds and _offer(act) == seen]
        if sent:
            unsent += firsts[sent[-1] + 1 :]
    return unsent


def _offer(act: Act) -> tuple[int, int, float]:
    return act.quantity, act.delivery, act.price


def _table(act: Act) -> tuple[int, int, float]:
    return act.offer_quantity, act.offer_delivery, act.offer_price


def _settles(act: Act, later: Act) -> bool:
    """Whether a later answer in the same negotiation leaves nothing of an act."""
    if later.factory == act.factory:
        return True
    return later.op != "accept" and _table(later) == _offer(act)


def outstanding(decisions: Iterable[list[Act]], until: Lifetimes) -> Iterator[list[Act]]:
    """For each decision of a factory, in order: the acts of the same day that stood before it and stand beside it."""
    standing: list[Act] = []
    for acts in decisions:
        now = acts[0]
        standing = [
            act for act in standing if act.day == now.day and until[act.sequence, act.negotiation] > now.sequence
        ]
        yield standing
        standing = standing + [act for act in acts if act.binds]


def unexplained(ledger: Ledger) -> list[str]:
    """Contracts for which a factory's accept or offer was not written down, so that nobody could judge it."""
    said = {(a.negotiation, a.factory, *_offer(a)) for acts in ledger.acts.values() for a in acts if a.binds}
    missing: Counter[str] = Counter()
    for contract in ledger.contracts:
        what = contract.quantity, contract.delivery, contract.unit_price
        if not contract.exogenous:
            missing.update(f for f in (contract.seller, contract.buyer) if (contract.negotiation, f, *what) not in said)
    policies = {factory.factory: factory.policy for factory in ledger.factories}
    return [
        f"factory {name} ({policies[name]}): table decisions: expected what led to each of its contracts, got nothing "
        f"for {count}"
        for name, count in sorted(missing.items())
    ]
