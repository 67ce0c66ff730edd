# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a factory sees when it must decide, as arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scml.oneshot.common import QUANTITY, TIME, UNIT_PRICE

from agora.negotiation.layout import PAST_ROUNDS, Factory, Ints, Op, Role, Slot, View, view_dtype
from agora.negotiation.wire import HORIZON

if TYPE_CHECKING:
    from scml_engine.arena import Arena

Offer = tuple[Any, ...] | None
NO_OFFER = (0, 0, 0)


class Sight:
    """One factory's.

    Attributes:
        day: today.
        partners: engine ids, suppliers first; a partner's place is its slot.
        slot: the place of each.
        roles: int, a ``Role`` for each of the K slots.
        record: the view as one record of ``view_dtype``; overwritten by the next ``look``.
        view: the same, by fields.
    """

    def __init__(self, arena: Arena, index: int) -> None:
        self._arena, self._index = arena, index
        self._id = arena.ids[index]
        self._awi = awi = arena.agents[self._id].awi
        suppliers = [] if awi.is_first_level else list(awi.my_suppliers)
        consumers = [] if awi.is_last_level else list(awi.my_consumers)
        self.day = -1
        self.partners: list[str] = suppliers + consumers
        self.slot = {partner: i for i, partner in enumerate(self.partners)}
        roles = [int(Role.SUPPLIER)] * len(suppliers) + [int(Role.CONSUMER)] * len(consumers)
        self.roles = roles + [int(Role.NOBODY)] * (arena.spec.slots - len(roles))
        self.record: NDArray[Any] = np.zeros((), view_dtype(arena.spec.slots, HORIZON))
        self.view = View(*(self.record[name] for name in View._fields))
        self._own = [NO_OFFER] * arena.spec.slots
        self._past: list[list[int]] = []
        self._sent: set[str] = set()

    def is_running(self, partner: str) -> bool:
        """Whether today's negotiation with a partner goes on."""
        side = "buy" if self.roles[self.slot[partner]] == Role.SUPPLIER else "sell"
        return partner in self._awi.current_negotiation_details[side]

    def running(self) -> list[str]:
        """Partners with whom today's negotiation goes on."""
        return [partner for partner in self.partners if self.is_running(partner)]

    def send(self, partner: str) -> None:
        """Today's offer to a partner goes out."""
        self._wake()
        self._sent.add(partner)

    def sent(self) -> set[str]:
        """Partners to whom an offer of ours has gone out today."""
        self._wake()
        return self._sent

    def own(self, partner: str) -> Offer:
        """Our last offer to a partner today, as the engine has it."""
        quantity, delivery, price = self._own[self.slot[partner]]
        return (quantity, self.day + delivery, price) if quantity else None

    def look(
        self, awaited: Collection[str], offers: Mapping[str, Offer], states: Mapping[str, Any], first: bool = False
    ) -> View:
        """The view now; it is valid until the next call.

        Args:
            awaited: partners who get an answer.
            offers: on the table, by partner.
            states: of those negotiations, by partner.
            first: whether the day's first proposals are due.
        """
        self._wake()
        day, view = self.day, self.view
        view.factory[Factory.FIRST] = first
        view.commitments[...] = self._arena.books[self._index, day : day + HORIZON + 1]
        view.slots[: len(self.partners)] = [self._row(p, i, awaited, offers, states) for p, i in self.slot.items()]
        return view

    def _row(
        self,
        partner: str,
        i: int,
        awaited: Collection[str],
        offers: Mapping[str, Offer],
        states: Mapping[str, Any],
    ) -> tuple[int, ...]:
        state, offer = states.get(partner), offers.get(partner)
        table = NO_OFFER
        if offer is not None:
            table = (int(offer[QUANTITY]), int(offer[TIME]) - self.day, int(offer[UNIT_PRICE]))
        now = (self.roles[i], self.is_running(partner), partner in awaited, state.step if state is not None else 0)
        return *now, *table, *self._own[i]

    def remember(self, i: int, answer: Ints) -> None:
        """Take down what was answered in slot ``i`` of the last view; columns ``Answer``."""
        op, delivery, quantity, price = answer.tolist()
        own = (quantity, delivery, price) if op == Op.REJECT else NO_OFFER
        theirs = self.view.slots[i, Slot.PARTNER_QUANTITY : Slot.PARTNER_PRICE + 1].tolist()
        self._own[i] = own
        self._past[i] = [*theirs, *own, *self._past[i]][: 6 * PAST_ROUNDS]
        self.view.history[i] = np.reshape(self._past[i], (PAST_ROUNDS, 6))

    def _wake(self) -> None:
        """Look around in the morning."""
        day = self._arena.current_step
        if day == self.day:
            return
        self.day = day
        self._sent = set()
        self._own = [NO_OFFER] * len(self.roles)
        self._past = [[0] * 6 * PAST_ROUNDS for _ in self.roles]
        self.view.history[...] = 0
        self.view.factory[...] = self._morning()

    def _morning(self) -> list[float]:
        """Columns ``Factory``; nothing of them changes before the evening."""
        awi, world = self._awi, self._arena
        prices = world.trading_prices
        bought = None if awi.is_first_level else awi.current_input_issues
        sold = None if awi.is_last_level else awi.current_output_issues
        return [
            self.day,
            world.n_steps,
            awi.level,
            world.n_processes,
            awi.n_lines,
            awi.profile.cost,
            awi.current_balance,
            world.initial_balances[self._id],
            awi.current_inventory_input,
            awi.current_exogenous_input_quantity,
            awi.current_exogenous_input_price,
            awi.current_exogenous_output_quantity,
            awi.current_exogenous_output_price,
            awi.current_shortfall_penalty * awi.penalty_multiplier(False, None),
            awi.current_storage_cost * awi.penalty_multiplier(True, None),
            prices[awi.my_input_product],
            prices[awi.my_output_product],
            bought[UNIT_PRICE].min_value if bought else 0,
            bought[UNIT_PRICE].max_value if bought else 0,
            sold[UNIT_PRICE].min_value if sold else 0,
            sold[UNIT_PRICE].max_value if sold else 0,
            max(issues[QUANTITY].max_value for issues in (bought, sold) if issues),
            0,
        ]
