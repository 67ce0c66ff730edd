# SPDX-License-Identifier: AGPL-3.0-or-later
"""A factory's desk: what it knows when it must decide, and what it says, checked, shielded and written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from negmas import ResponseType, SAOResponse
from numpy.typing import NDArray
from scml.oneshot.common import QUANTITY, TIME, UNIT_PRICE

from agora.negotiation.layout import PAST_ROUNDS, Answer, Factory, Ints, Op, Role, Slot, View, view_dtype
from agora.negotiation.shield import legalise, shield
from scml_engine.spec import HORIZON, Reply, SeatSpec
from scml_engine.streams import Stream

if TYPE_CHECKING:
    from scml_engine.arena import Arena

Offer = tuple[Any, ...] | None
NO_OFFER = (0, 0, 0)
_OPS = {ResponseType.ACCEPT_OFFER: Op.ACCEPT, ResponseType.REJECT_OFFER: Op.REJECT}


class Desk:
    """One factory's.

    Attributes:
        index: of the factory, level by level.
        seat: who plays it.
        stream: what a published agent draws from; None is the process's own stream.
        partners: engine ids, suppliers first; a partner's place is its slot.
        substituted: decisions for which a default stood in.
    """

    def __init__(self, arena: Arena, index: int, seat: SeatSpec) -> None:
        self.arena, self.index, self.seat = arena, index, seat
        self.id = arena.ids[index]
        self.stream = Stream(arena.spec.seed, index) if arena.spec.streams == "seat" else None
        self.substituted = 0
        awi = arena.agents[self.id].awi
        self._awi = awi
        suppliers = [] if awi.is_first_level else list(awi.my_suppliers)
        consumers = [] if awi.is_last_level else list(awi.my_consumers)
        self.partners: list[str] = suppliers + consumers
        self.slot = {partner: i for i, partner in enumerate(self.partners)}
        roles = [Role.SUPPLIER] * len(suppliers) + [Role.CONSUMER] * len(consumers)
        self.roles = roles + [Role.NOBODY] * (arena.spec.slots - len(roles))
        self._record: NDArray[Any] = np.zeros((), view_dtype(arena.spec.slots, HORIZON))
        self._view = View(*(self._record[name] for name in View._fields))
        self._own = [NO_OFFER] * arena.spec.slots
        self._past: list[list[int]] = [[] for _ in range(arena.spec.slots)]
        self._day = -1
        self._answering = False
        self._forced: dict[str, Offer] = {}
        agent = arena.agents[self.id].adapted_object
        agent._desk = self

    # What the engine asks -------------------------------------------------------------------------------------------

    def propose_all(self, policy: Callable[[], Mapping[str, Offer] | None]) -> Mapping[str, Offer] | None:
        """The day's first proposals of a published policy, by partner."""
        if self._answering:
            return policy()
        said = self._call(policy)
        running = [p for p in self.partners if self._is_running(p)]
        view, base = self._look(running, {}, {}, first=True), self._answers()
        for partner in running:
            self._write(base, partner, ResponseType.REJECT_OFFER, (said or {}).get(partner))
        final, edited = self._guard(view, base)
        self._log(view, base, final, edited)
        if not edited.any():
            return said
        return {p: self._offer(final[self.slot[p]]) if edited[self.slot[p]] else (said or {}).get(p) for p in running}

    def counter_all(
        self,
        offers: Mapping[str, Offer],
        states: Mapping[str, Any],
        policy: Callable[[], dict[str, SAOResponse | None]],
    ) -> dict[str, SAOResponse | None]:
        """A published policy's answers to the offers on the table, by partner."""
        if self._answering:
            return policy()
        awaited = [p for p in offers if p in self.slot]
        view, base = self._look(awaited, offers, states), self._answers()
        said = self._call(policy)
        for partner in awaited:
            response = said.get(partner, SAOResponse(ResponseType.END_NEGOTIATION, None))
            kind, outcome = (
                (ResponseType.REJECT_OFFER, None) if response is None else (response.response, response.outcome)
            )
            self._write(base, partner, kind, outcome)
        final, edited = self._guard(view, base)
        self._log(view, base, final, edited)
        for partner in awaited:
            if edited[self.slot[partner]]:
                said[partner] = self._response(final[self.slot[partner]], offers[partner])
        return said

    def ask(
        self, offers: Mapping[str, Offer], states: Mapping[str, Any], first: bool = False
    ) -> dict[str, SAOResponse]:
        """Answers from outside the engine, always made legal."""
        awaited = [p for p in self.partners if self._is_running(p)] if first else [p for p in offers if p in self.slot]
        if not awaited:
            return {}
        view = self._look(awaited, offers, states, first)
        if self.arena.decide is None:
            raise ValueError(
                f"seat {self.arena.names[self.index]}: policy 'service', but nobody decides for this world"
            )
        reply: Reply = self.arena.decide(self.index, self._record, self.arena)
        self.substituted += reply.substituted
        base = legalise(view, reply.answers)
        final, edited = self._guard(view, base)
        self._log(view, base, final, edited, reply.substituted)
        return {p: self._response(final[self.slot[p]], offers.get(p)) for p in awaited}

    def propose_one(self, partner: str, state: Any, policy: Callable[[], Offer]) -> Offer:
        """One proposal of a policy that negotiates with each partner by itself."""
        if self._answering:
            return policy()
        if partner in self._forced:
            return self._forced.pop(partner)
        said = self._call(policy)
        table = self._theirs(partner, state)
        view, base = self._look([partner], {partner: table}, {partner: state}, first=table is None), self._answers()
        self._write(base, partner, ResponseType.REJECT_OFFER, said)
        final, edited = self._guard(view, base)
        self._log(view, base, final, edited)
        return self._offer(final[self.slot[partner]]) if edited.any() else said

    def respond_one(self, partner: str, state: Any, policy: Callable[[], ResponseType]) -> ResponseType:
        """One response of such a policy; a rejection is written down with the proposal that follows it."""
        if self._answering:
            return policy()
        said = self._call(policy)
        kind, offer = getattr(said, "response", said), state.current_offer
        if kind not in (ResponseType.ACCEPT_OFFER, ResponseType.END_NEGOTIATION):
            return said
        view, base = self._look([partner], {partner: offer}, {partner: state}), self._answers()
        self._write(base, partner, kind, offer)
        final, edited = self._guard(view, base)
        self._log(view, base, final, edited)
        if not edited.any():
            return said
        response = self._response(final[self.slot[partner]], offer)
        if response.response == ResponseType.REJECT_OFFER:
            self._forced[partner] = response.outcome
        return response.response

    def listen(self, callback: Callable[[], Any]) -> Any:
        """Run any other callback of a published agent, on its own random stream."""
        return callback() if self._answering else self._call(callback)

    # What it knows --------------------------------------------------------------------------------------------------

    def _look(
        self, awaited: list[str], offers: Mapping[str, Offer], states: Mapping[str, Any], first: bool = False
    ) -> View:
        day = self.arena.current_step
        if day != self._day:
            self._new_day(day)
        view = self._view
        view.factory[Factory.FIRST] = first
        view.commitments[...] = self.arena.books[self.index, day : day + HORIZON + 1]
        view.slots[...] = [self._slot_row(i, awaited, offers, states) for i in range(len(self.roles))]
        return view

    def _slot_row(
        self, i: int, awaited: list[str], offers: Mapping[str, Offer], states: Mapping[str, Any]
    ) -> tuple[int, ...]:
        if i >= len(self.partners):
            return (0,) * len(Slot)
        partner = self.partners[i]
        state = states.get(partner)
        return (
            self.roles[i],
            self._is_running(partner),
            partner in awaited,
            state.step if state is not None else 0,
            *self._relative(offers.get(partner)),
            *self._own[i],
        )

    def _new_day(self, day: int) -> None:
        self._day = day
        self._own = [NO_OFFER] * len(self.roles)
        self._past = [[0] * 6 * PAST_ROUNDS for _ in self.roles]
        self._forced = {}
        self._view.history[...] = 0
        self._view.factory[...] = self._morning(day)

    def _morning(self, day: int) -> list[float]:
        """Columns ``Factory``; nothing of them changes before the evening."""
        awi, world = self._awi, self.arena
        buys, sells = not awi.is_first_level, not awi.is_last_level
        prices = world.trading_prices
        bought = awi.current_input_issues[UNIT_PRICE] if buys else None
        sold = awi.current_output_issues[UNIT_PRICE] if sells else None
        issues = awi.current_input_issues if buys else awi.current_output_issues
        return [
            day,
            world.n_steps,
            awi.level,
            world.n_processes,
            awi.n_lines,
            awi.profile.cost,
            awi.current_balance,
            world.initial_balances[self.id],
            awi.current_inventory_input,
            awi.current_exogenous_input_quantity,
            awi.current_exogenous_input_price,
            awi.current_exogenous_output_quantity,
            awi.current_exogenous_output_price,
            awi.current_shortfall_penalty * awi.penalty_multiplier(False, None),
            awi.current_storage_cost * awi.penalty_multiplier(True, None),
            prices[awi.my_input_product],
            prices[awi.my_output_product],
            bought.min_value if bought else 0,
            bought.max_value if bought else 0,
            sold.min_value if sold else 0,
            sold.max_value if sold else 0,
            issues[QUANTITY].max_value,
            0,
        ]

    def _is_running(self, partner: str) -> bool:
        side = "buy" if self.roles[self.slot[partner]] == Role.SUPPLIER else "sell"
        return partner in self._awi.current_negotiation_details[side]

    def _relative(self, offer: Offer) -> tuple[int, int, int]:
        if offer is None:
            return NO_OFFER
        return int(offer[QUANTITY]), int(offer[TIME]) - self._day, int(offer[UNIT_PRICE])

    def _theirs(self, partner: str, state: Any) -> Offer:
        """The partner's offer on the table; the mechanism shows our own there before it has answered."""
        mine = state.current_proposer is None or state.current_proposer == partner
        return None if state.current_offer is None or mine else state.current_offer

    # What it says ---------------------------------------------------------------------------------------------------

    def _call(self, policy: Callable[[], Any]) -> Any:
        self._answering = True
        try:
            if self.stream is None:
                return policy()
            with self.stream:
                return policy()
        finally:
            self._answering = False

    def _answers(self) -> Ints:
        answers = np.zeros((len(self.roles), len(Answer)), np.int32)
        answers[:, Answer.OP] = Op.END
        return answers

    def _write(self, answers: Ints, partner: str, kind: Any, offer: Offer) -> None:
        op = _OPS.get(kind, Op.END)
        if op == Op.REJECT and offer is None:
            op = Op.END
        quantity, delivery, price = 0, 0, 0
        if op == Op.REJECT and offer is not None:
            delivery, quantity = int(offer[TIME]) - self._day, int(offer[QUANTITY])
            price = self._best_price(partner) if offer[UNIT_PRICE] is None else int(offer[UNIT_PRICE])
        answers[self.slot[partner]] = (op, delivery, quantity, price)

    def _best_price(self, partner: str) -> int:
        """For offers without a price, which some published agents make."""
        column = (
            Factory.INPUT_PRICE_LOW if self.roles[self.slot[partner]] == Role.SUPPLIER else Factory.OUTPUT_PRICE_HIGH
        )
        return int(self._view.factory[column])

    def _guard(self, view: View, base: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        if self.seat.shield == "none":
            return base, np.zeros(len(base), np.bool_)
        result = shield(view, base, self.seat.shield, self.arena.spec.physics)
        return result.answers, result.edited

    def _offer(self, answer: Ints) -> Offer:
        op, delivery, quantity, price = answer.tolist()
        return (quantity, self._day + delivery, price) if op == Op.REJECT and quantity > 0 else None

    def _response(self, answer: Ints, table: Offer) -> SAOResponse:
        op = int(answer[Answer.OP])
        if op == Op.ACCEPT:
            return SAOResponse(ResponseType.ACCEPT_OFFER, table)
        offer = self._offer(answer)
        if op == Op.END or offer is None:
            return SAOResponse(ResponseType.END_NEGOTIATION, None)
        return SAOResponse(ResponseType.REJECT_OFFER, offer)

    def _log(self, view: View, base: Ints, final: Ints, edited: NDArray[np.bool_], substituted: bool = False) -> None:
        arena = self.arena
        sequence = arena.next_sequence()
        rows = np.flatnonzero(view.slots[:, Slot.AWAITED])
        arena.hash.update(f"o{self._day},{self.index};".encode() + rows.tobytes() + final[rows].tobytes())
        if arena.tracker is not None:
            arena.tracker.decision(arena, self, sequence, view, base, final, edited, substituted)
        for i in rows.tolist():
            self._remember(i, view, final[i])

    def _remember(self, i: int, view: View, answer: Ints) -> None:
        op, delivery, quantity, price = answer.tolist()
        own = (quantity, delivery, price) if op == Op.REJECT else NO_OFFER
        theirs = view.slots[i, Slot.PARTNER_QUANTITY : Slot.PARTNER_PRICE + 1].tolist()
        self._own[i] = own
        self._past[i] = [*theirs, *own, *self._past[i]][: 6 * PAST_ROUNDS]
        view.history[i] = np.reshape(self._past[i], (PAST_ROUNDS, 6))
