"""A simple sensible negotiator, for many factories at once: the example, and the policy that speed is measured with.

It buys what it has sold, sells what it has bought, plans for part of its lines, and concedes the price round by round.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.layout import Answer, Commitment, Factory, Floats, Ints, Op, Role, Slot

AIM: Final = 0.6
"""Share of the lines that it plans to use on days to come, where nothing tells it more."""
PACE: Final = 4.0
"""Rounds in which it goes from the best price for itself to the worst that it takes."""
Flags = NDArray[np.bool_]


class _Side(NamedTuple):
    """One side of n factories.

    Attributes:
        role: of the partners.
        room: float64 (n, H + 1), units wanted for delivery on day δ.
        most: float64 (n, H + 1), units that may be taken for delivery on day δ.
        best, worst: float64 (n,), prices between which it haggles.
    """

    role: Role
    room: Floats
    most: Floats
    best: Floats
    worst: Floats


def haggle(factory: Floats, commitments: Floats, slots: Ints) -> Ints:
    """Answers for n factories with K slots each; a row's answer depends on that row alone.

    Args:
        factory: float64 (n, 23), columns ``Factory``.
        commitments: float64 (n, H + 1, 4), columns ``Commitment``.
        slots: int32 (n, K, 10), columns ``Slot``.

    Returns:
        int32 (n, K, 4), columns ``Answer``; END where no answer is awaited.
    """
    lacking, spare = _plan(factory, commitments)
    answers = np.zeros((*slots.shape[:2], len(Answer)), np.int32)
    answers[..., Answer.OP] = Op.END
    for side in (_buying(factory, lacking), _selling(factory, spare)):
        _answer(side, factory, slots, answers)
    return answers


def _plan(factory: Floats, commitments: Floats) -> tuple[Floats, Floats]:
    """Units that lack and units that are spare for each day, if nature goes on; float64 (n, H + 1) each."""
    lines, days = factory[:, Factory.LINES], commitments.shape[1]
    first, last = _edges(factory)
    arriving, owed = commitments[..., Commitment.SUPPLIES].copy(), commitments[..., Commitment.SALES].copy()
    arriving[:, 0] += factory[:, Factory.EXOGENOUS_INPUT_QUANTITY]
    owed[:, 0] += factory[:, Factory.EXOGENOUS_OUTPUT_QUANTITY]
    usual = AIM * lines[:, None]
    arriving[:, 1:] += usual * first[:, None]
    owed[:, 1:] += usual * last[:, None]
    lacking, spare = np.zeros_like(owed), np.zeros_like(owed)
    stock = factory[:, Factory.INVENTORY]
    for day in range(days):
        material = stock + arriving[:, day]
        lacking[:, day] = np.minimum(lines, owed[:, day]) - material
        spare[:, day] = np.minimum(lines, material) - owed[:, day]
        stock = material - np.minimum(np.minimum(lines, material), owed[:, day])
    # What a factory inside the chain sells for days to come, it has time to buy.
    spare[:, 1:] = np.where(first[:, None], spare[:, 1:], np.maximum(spare[:, 1:], usual - owed[:, 1:]))
    ahead = np.arange(days) < (factory[:, Factory.DAYS] - factory[:, Factory.DAY])[:, None]
    whole = [np.where(ahead, np.floor(units.clip(0.0)), 0.0) for units in (lacking, spare)]
    return whole[0] * ~first[:, None], whole[1] * ~last[:, None]


def _edges(factory: Floats) -> tuple[Flags, Flags]:
    """Which factories buy from nature, and which sell to it."""
    level = factory[:, Factory.LEVEL]
    return level == 0, level == factory[:, Factory.LEVELS] - 1


def _buying(factory: Floats, lacking: Floats) -> _Side:
    low, high = factory[:, Factory.INPUT_PRICE_LOW], factory[:, Factory.INPUT_PRICE_HIGH]
    fair = np.clip(factory[:, Factory.OUTPUT_TRADING_PRICE] - factory[:, Factory.PRODUCTION_COST], low, high)
    early = np.maximum.accumulate(lacking[:, ::-1], axis=1)[:, ::-1]  # what lacks later may come sooner
    return _Side(Role.SUPPLIER, lacking, early, low, np.where(lacking[:, 0] > 0, high, fair))


def _selling(factory: Floats, spare: Floats) -> _Side:
    low, high = factory[:, Factory.OUTPUT_PRICE_LOW], factory[:, Factory.OUTPUT_PRICE_HIGH]
    fair = np.clip(factory[:, Factory.INPUT_TRADING_PRICE] + factory[:, Factory.PRODUCTION_COST], low, high)
    return _Side(Role.CONSUMER, spare, spare, high, np.where(spare[:, 0] > 0, low, fair))


def _answer(side: _Side, factory: Floats, slots: Ints, answers: Ints) -> None:
    """Fill in the answers to the partners of one side."""
    awaited = (slots[..., Slot.ROLE] == side.role) & (slots[..., Slot.AWAITED] == 1)
    price = _price(side, factory, slots)
    standing = (slots[..., Slot.ROLE] == side.role) & (slots[..., Slot.RUNNING] == 1) & ~awaited
    promised = (slots[..., Slot.OWN_QUANTITY] * standing).sum(axis=1)[:, None]
    accepted = _acceptable(side, slots, awaited, price, promised)
    promised = promised + (slots[..., Slot.PARTNER_QUANTITY] * accepted).sum(axis=1)[:, None]
    _offer(side, factory, awaited & ~accepted, price, promised, answers)
    answers[accepted] = (Op.ACCEPT, 0, 0, 0)


def _price(side: _Side, factory: Floats, slots: Ints) -> Floats:
    """The price that it asks or bids in each slot now, float64 (n, K)."""
    rounds = slots[..., Slot.ROUND] + 1.0 - factory[:, Factory.FIRST, None]
    conceded = np.minimum(rounds / PACE, 1.0)
    return np.rint(side.best[:, None] + (side.worst - side.best)[:, None] * conceded)


def _acceptable(side: _Side, slots: Ints, awaited: Flags, price: Floats, promised: Ints) -> Flags:
    """Awaited offers at a good price whose units fit, together with those of the slots before; bool (n, K)."""
    units, delivery = slots[..., Slot.PARTNER_QUANTITY], slots[..., Slot.PARTNER_DELIVERY]
    theirs = slots[..., Slot.PARTNER_PRICE]
    good = theirs <= price if side.role == Role.SUPPLIER else theirs >= price
    room = np.take_along_axis(side.most, delivery.clip(0, side.most.shape[1] - 1), axis=1)
    fits = awaited & (units > 0) & good & (units <= room)
    together: Flags = fits & (np.cumsum(units * fits, axis=1) + promised <= room)
    return together


def _offer(side: _Side, factory: Floats, free: Flags, price: Floats, promised: Ints, answers: Ints) -> None:
    """Share out what is wanted for the first day on which something is."""
    left = (side.room - promised).clip(0.0)
    delivery = (left > 0).argmax(axis=1)
    wanted = np.take_along_axis(left, delivery[:, None], axis=1)
    each = np.ceil(wanted / np.maximum(free.sum(axis=1), 1)[:, None])
    before = (np.cumsum(free, axis=1) - free) * each
    units = np.minimum(np.minimum(each, wanted - before), factory[:, Factory.MAX_QUANTITY, None])
    offers = free & (units >= 1)
    table = np.stack(np.broadcast_arrays(np.float64(Op.REJECT), delivery[:, None], units, price), axis=-1)
    answers[offers] = table[offers]
