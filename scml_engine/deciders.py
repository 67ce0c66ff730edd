# SPDX-License-Identifier: AGPL-3.0-or-later
"""Policies for baselines and audits that see a view and nothing of the engine: uniform play, an untrained network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.layout import Answer, Factory, Floats, Ints, Op, Role, Slot, View

Decider = Callable[[View, np.random.Generator], Ints]
"""Answers a view: int32 (K, 4), columns ``Answer``, legal in every awaited slot, END in the others."""

HIDDEN: Final = 64
PRICE_STEPS: Final = 5
"""Prices the untrained network chooses among, evenly from the lowest to the highest."""


def uniform(view: View, rng: np.random.Generator) -> Ints:
    """Every legal operation alike, then every legal quantity, day and price alike."""
    slots = len(view.slots)
    return _answers(view, rng.random((slots, len(Op))), *(rng.random(slots) for _ in range(3)))


def untrained(seed: int) -> Decider:
    """A network of two layers with random weights, whose outputs are sampled from.

    Args:
        seed: of the weights, which are N(0, 1 / fan-in).
    """
    layers: dict[tuple[int, int], tuple[Floats, Floats]] = {}

    def decide(view: View, rng: np.random.Generator) -> Ints:
        inputs, slots, days = _flat(view), len(view.slots), len(view.commitments)
        choices = (len(Op), int(view.factory[Factory.MAX_QUANTITY]), days, PRICE_STEPS)
        key = (len(inputs), slots * sum(choices))
        if key not in layers:
            layers[key] = _weights(seed, *key)
        first, second = layers[key]
        logits = (np.tanh(inputs @ first) @ second).reshape(slots, -1)
        ops, quantity, delivery, price = np.split(
            logits + rng.gumbel(size=logits.shape), np.cumsum(choices)[:-1], axis=1
        )
        shares = [(part.argmax(axis=1) + 0.5) / part.shape[1] for part in (quantity, delivery, price)]
        return _answers(view, ops, *shares)

    return decide


DECIDERS: Final[dict[str, Callable[[int], Decider]]] = {"random": lambda seed: uniform, "untrained": untrained}
"""By policy name: what makes a decider of a world's seed."""


def _weights(seed: int, inputs: int, outputs: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((inputs, HIDDEN)) / np.sqrt(inputs)
    return first, rng.standard_normal((HIDDEN, outputs)) / np.sqrt(HIDDEN)


def _flat(view: View) -> Floats:
    """All of a view, with magnitudes from units to a fortune brought near one."""
    flat = np.concatenate([np.ravel(part).astype(np.float64) for part in view])
    return np.asarray(np.sign(flat) * np.log1p(np.abs(flat)))


def _answers(view: View, preference: Floats, quantity: Floats, delivery: Floats, price: Floats) -> Ints:
    """The preferred legal operation in each slot; quantity, delivery and price are shares of their legal ranges."""
    factory, slots = view.factory, view.slots
    ahead = int(min(len(view.commitments), factory[Factory.DAYS] - factory[Factory.DAY]))
    buys = slots[:, Slot.ROLE] == Role.SUPPLIER
    low = np.where(buys, factory[Factory.INPUT_PRICE_LOW], factory[Factory.OUTPUT_PRICE_LOW])
    high = np.where(buys, factory[Factory.INPUT_PRICE_HIGH], factory[Factory.OUTPUT_PRICE_HIGH])
    answers = np.zeros((len(slots), len(Answer)), np.int32)
    answers[:, Answer.OP] = np.where(slots[:, Slot.AWAITED] == 1, _legal(view, preference).argmax(axis=1), Op.END)
    offers = answers[:, Answer.OP] == Op.REJECT
    answers[offers, Answer.QUANTITY] = 1 + (quantity * factory[Factory.MAX_QUANTITY]).astype(np.int32)[offers]
    answers[offers, Answer.DELIVERY] = (delivery * ahead).astype(np.int32)[offers]
    answers[offers, Answer.PRICE] = (low + np.floor(price * (high - low + 1))).astype(np.int32)[offers]
    return answers


def _legal(view: View, preference: Floats) -> NDArray[np.float64]:
    """Preferences, with acceptance ruled out where there is nothing to accept."""
    legal = preference.copy()
    legal[view.slots[:, Slot.PARTNER_QUANTITY] == 0, Op.ACCEPT] = -np.inf
    return legal
