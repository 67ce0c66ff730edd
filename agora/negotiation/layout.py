"""How a factory's view and its answers are laid out as arrays, for whoever makes, plays or logs them.

A factory buys an input from its suppliers and sells an output to its consumers, in lots that are delivered today or
up to ``horizon`` days ahead. With each partner it runs one negotiation a day, of alternating offers (SAO). One
decision is one round of all its negotiations: a *slot* for each partner, some of them awaiting an answer.

Quantities are units, prices are money per unit, both integers as in the game; δ is days from today.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

PAST_ROUNDS = 3
"""How many earlier rounds of each slot a view holds."""


class Role(IntEnum):
    """What the partner of a slot is."""

    NOBODY = 0
    SUPPLIER = 1
    """We buy from it."""
    CONSUMER = 2
    """We sell to it."""


class Op(IntEnum):
    """What an answer does."""

    ACCEPT = 0
    """Accept the partner's offer; quantity, delivery and price of the answer are ignored."""
    REJECT = 1
    """Reject it, if there is one, and make the answer's offer."""
    END = 2
    """End this negotiation without a contract."""


class Factory(IntEnum):
    """Columns of ``View.factory``, float64."""

    DAY = 0
    """Today, from 0."""
    DAYS = 1
    """How many days the game has; nothing can be delivered on or after this day."""
    LEVEL = 2
    """Place in the chain, from 0; factories of level 0 buy from nature, those of the last level sell to it."""
    LEVELS = 3
    LINES = 4
    """Units that can be made in a day."""
    PRODUCTION_COST = 5
    """Money per unit made."""
    BALANCE = 6
    INITIAL_BALANCE = 7
    INVENTORY = 8
    """Units of input in store this morning."""
    EXOGENOUS_INPUT_QUANTITY = 9
    """Units nature delivers today, beside what was bought."""
    EXOGENOUS_INPUT_PRICE = 10
    """What they cost, in all."""
    EXOGENOUS_OUTPUT_QUANTITY = 11
    """Units owed to nature today, beside what was sold."""
    EXOGENOUS_OUTPUT_PRICE = 12
    """What they bring, in all."""
    SHORTFALL_PENALTY = 13
    """Money per unit owed today and not delivered."""
    STORAGE_COST = 14
    """Money per unit of input left over tonight."""
    INPUT_TRADING_PRICE = 15
    OUTPUT_TRADING_PRICE = 16
    INPUT_PRICE_LOW = 17
    INPUT_PRICE_HIGH = 18
    OUTPUT_PRICE_LOW = 19
    OUTPUT_PRICE_HIGH = 20
    MAX_QUANTITY = 21
    """Most units an offer may name; the least is 1."""
    FIRST = 22
    """1 where the day's first proposals are asked for, 0 where offers are answered."""


class Commitment(IntEnum):
    """Columns of ``View.commitments``, float64: what is signed for each day, without nature's part."""

    SUPPLIES = 0
    """Units bought."""
    SUPPLIES_COST = 1
    """Money due for them, in all."""
    SALES = 2
    """Units sold."""
    SALES_REVENUE = 3
    """Money due from them, in all."""


class Slot(IntEnum):
    """Columns of ``View.slots``, int32. An offer of quantity 0 is none."""

    ROLE = 0
    RUNNING = 1
    """1 while today's negotiation with this partner goes on."""
    AWAITED = 2
    """1 where this decision needs an answer; answers in other slots are ignored."""
    ROUND = 3
    PARTNER_QUANTITY = 4
    """The partner's offer on the table, to be accepted or rejected."""
    PARTNER_DELIVERY = 5
    PARTNER_PRICE = 6
    OWN_QUANTITY = 7
    """Our own last offer; where no answer is awaited it still stands and may be accepted."""
    OWN_DELIVERY = 8
    OWN_PRICE = 9


class Answer(IntEnum):
    """Columns of answers, int32."""

    OP = 0
    DELIVERY = 1
    """δ, days from today."""
    QUANTITY = 2
    PRICE = 3


class View(NamedTuple):
    """All that one factory knows when it must decide. K slots, horizon H.

    Attributes:
        factory: float64 (23,), columns ``Factory``.
        commitments: float64 (H + 1, 4), row δ is the day today + δ, columns ``Commitment``.
        slots: int32 (K, 10), columns ``Slot``.
        history: int32 (K, PAST_ROUNDS, 6), most recent first: partner's quantity, δ, price, then our own, of the
            rounds before the one on the table.
    """

    factory: Floats
    commitments: Floats
    slots: Ints
    history: Ints


def view_dtype(slots: int, horizon: int) -> np.dtype[Any]:
    """The record of one view, its fields named as in ``View``."""
    return np.dtype(
        [
            ("factory", np.float64, len(Factory)),
            ("commitments", np.float64, (horizon + 1, len(Commitment))),
            ("slots", np.int32, (slots, len(Slot))),
            ("history", np.int32, (slots, PAST_ROUNDS, 6)),
        ]
    )


def empty_view(slots: int, horizon: int) -> View:
    """A view of zeros."""
    record = np.zeros((), view_dtype(slots, horizon))
    return View(*(record[name] for name in View._fields))
