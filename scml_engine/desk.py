# SPDX-License-Identifier: AGPL-3.0-or-later
"""A factory's desk: every answer passes over it, is made safe if there is a shield, counted and written down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from negmas import ResponseType, SAOResponse
from numpy.typing import NDArray
from scml.oneshot.common import QUANTITY, TIME, UNIT_PRICE

from agora.negotiation.layout import Answer, Factory, Ints, Op, Role, Slot, View
from agora.negotiation.shield import legalise, shield
from scml_engine.deciders import DECIDERS
from scml_engine.sight import Offer, Sight
from scml_engine.spec import Reply, SeatSpec
from scml_engine.streams import Stream

if TYPE_CHECKING:
    from scml_engine.arena import Arena

Said = tuple[ResponseType, Offer]
"""An answer as the engine has it: the response, and the offer that goes with a rejection."""
NOTHING: Said = (ResponseType.END_NEGOTIATION, None)
_OPS = {ResponseType.ACCEPT_OFFER: Op.ACCEPT, ResponseType.REJECT_OFFER: Op.REJECT}


class Desk:
    """One factory's.

    Attributes:
        index: of the factory, level by level.
        seat: who plays it.
        sight: what it sees.
        substituted: decisions for which a default stood in.
        told: what the last answers from outside came to: int32 (K, 4), and bool (K,), where the shield changed them.
    """

    def __init__(self, arena: Arena, index: int, seat: SeatSpec) -> None:
        self.arena, self.index, self.seat = arena, index, seat
        self.id = arena.ids[index]
        self.sight = Sight(arena, index)
        self.substituted = 0
        self._stream = Stream(arena.spec.seed, index) if arena.spec.streams == "seat" else None
        self.told: tuple[Ints, NDArray[np.bool_]] = self._answers(), np.zeros(arena.spec.slots, np.bool_)
        self._answering = False
        self._forced: dict[str, Offer] = {}
        maker = DECIDERS.get(seat.policy)
        self._decider = maker(arena.spec.seed) if maker else None
        self._generator = np.random.default_rng((arena.spec.seed, index))
        arena.agents[self.id].adapted_object._desk = self

    # Published policies ---------------------------------------------------------------------------------------------

    def propose_all(self, policy: Callable[[], Mapping[str, Offer] | None]) -> Mapping[str, Offer] | None:
        """The day's first proposals, by partner."""
        if self._answering:
            return policy()
        said = dict(self.listen(policy) or {})
        # The engine asks again when a partner was left out; what has gone to the others stands.
        sent = self.sight.sent()
        answers = {p: (ResponseType.REJECT_OFFER, said.get(p)) for p in self.sight.running() if p not in sent}
        final = self._settle(answers, {}, {}, first=True)
        if self.seat.shield != "none":
            said.update({partner: self.sight.own(partner) for partner in sent if partner in said})
        return {**said, **{partner: offer for partner, (_, offer) in final.items()}}

    def counter_all(
        self,
        offers: Mapping[str, Offer],
        states: Mapping[str, Any],
        policy: Callable[[], dict[str, SAOResponse | None]],
    ) -> dict[str, SAOResponse | None]:
        """Answers to the offers on the table, by partner.

        Answers to partners who have made no offer yet are kept by the engine and given when they do.
        """
        if self._answering:
            return policy()
        said = self.listen(policy)
        answers = {
            p: _said(said.get(p, SAOResponse(*NOTHING))) for p in self.sight.running() if p in offers or p in said
        }
        final = self._settle(answers, offers, states)
        for partner, answer in final.items():
            said[partner] = SAOResponse(*answer)
        return said

    def propose_one(self, partner: str, state: Any, policy: Callable[[], Offer]) -> Offer:
        """One proposal of a policy that negotiates with each partner by itself."""
        if self._answering:
            return policy()
        if partner in self._forced:
            return self._forced.pop(partner)
        said: Said = (ResponseType.REJECT_OFFER, self.listen(policy))
        mine = state.current_proposer in (None, partner)  # the engine calls our negotiator by the partner's name
        table = None if mine else state.current_offer
        final = self._settle({partner: said}, {partner: table}, {partner: state}, first=table is None)
        self.sight.send(partner)
        return final.get(partner, said)[1]

    def respond_one(self, partner: str, state: Any, policy: Callable[[], ResponseType]) -> ResponseType:
        """One response of such a policy; a rejection is written down with the proposal that follows it."""
        if self._answering:
            return policy()
        said = self.listen(policy)
        kind, offer = getattr(said, "response", said), state.current_offer
        if kind not in (ResponseType.ACCEPT_OFFER, ResponseType.END_NEGOTIATION):
            return said
        final = self._settle({partner: (kind, None)}, {partner: offer}, {partner: state})
        if partner not in final:
            return said
        response, counter = final[partner]
        if response == ResponseType.REJECT_OFFER:
            self._forced[partner] = counter
        return response

    def listen(self, callback: Callable[[], Any]) -> Any:
        """Run a callback of a published agent, on its own random stream."""
        if self._answering:
            return callback()
        self._answering = True
        try:
            if self._stream is None:
                return callback()
            with self._stream:
                return callback()
        finally:
            self._answering = False

    def _settle(
        self, said: Mapping[str, Said], offers: Mapping[str, Offer], states: Mapping[str, Any], first: bool = False
    ) -> dict[str, Said]:
        """What changes in a policy's answers: those that the shield edits."""
        arena = self.arena
        final: dict[str, Said] = {}
        if self.seat.shield != "none" or arena.tracker is not None:
            view = self.sight.look(said.keys(), offers, states, first)
            base = self._answers()
            for partner, answer in said.items():
                self._write(base, partner, answer)
            edited = self._guard(view, base)
            final = {p: self._read(edited[i]) for p in said if (edited[i := self.sight.slot[p]] != base[i]).any()}
        told = {partner: final.get(partner, answer) for partner, answer in said.items()}
        arena.hash.update(f"o{arena.current_step},{self.index},{sorted(told.items(), key=_by_partner)};".encode())
        return final

    # Answers from outside the engine --------------------------------------------------------------------------------

    def ask(self, offers: Mapping[str, Offer], states: Mapping[str, Any], first: bool = False) -> dict[str, Said]:
        """Answers from outside the engine, always made legal."""
        if first:
            awaited = [p for p in self.sight.running() if p not in self.sight.sent()]
        else:
            awaited = [p for p in offers if p in self.sight.slot]
        if not awaited:
            return {}
        view = self.sight.look(awaited, offers, states, first)
        reply = self._decide(view)
        self.substituted += reply.substituted
        final = self._guard(view, legalise(view, reply.answers), reply.substituted)
        rows = np.flatnonzero(view.slots[:, Slot.AWAITED])
        self.arena.hash.update(f"a{self.sight.day},{self.index};".encode() + rows.tobytes() + final[rows].tobytes())
        return {p: self._read(final[self.sight.slot[p]]) for p in awaited}

    def _decide(self, view: View) -> Reply:
        if self._decider is not None:
            return Reply(self._decider(view, self._generator))
        if self.arena.decide is None:
            name = self.arena.names[self.index]
            raise ValueError(f"seat {name}: expected somebody who decides for the policy 'service', got nobody")
        return self.arena.decide(self.index, self.sight.record)

    # Both -----------------------------------------------------------------------------------------------------------

    def _guard(self, view: View, base: Ints, substituted: bool = False) -> Ints:
        """The answers that go out: shielded if there is a shield, written down, and remembered."""
        arena, final, edited = self.arena, base, np.zeros(len(base), np.bool_)
        if self.seat.shield != "none":
            safe = shield(view, base, self.seat.shield, arena.spec.physics)
            final, edited = safe.answers, safe.edited
        self.told = final, edited
        sequence = arena.next_sequence()
        if arena.tracker is not None:
            arena.tracker.decision(arena, self, sequence, view, base, final, edited, substituted)
        for i in np.flatnonzero(view.slots[:, Slot.AWAITED]).tolist():
            self.sight.remember(i, final[i])
        return final

    def _answers(self) -> Ints:
        answers: NDArray[np.int32] = np.zeros((len(self.sight.roles), len(Answer)), np.int32)
        answers[:, Answer.OP] = Op.END
        return answers

    def _write(self, answers: Ints, partner: str, said: Said) -> None:
        kind, offer = said
        i, op = self.sight.slot[partner], _OPS.get(kind, Op.END)
        if op != Op.REJECT or offer is None:
            answers[i, Answer.OP] = Op.END if op == Op.REJECT else op
            return
        price = self._best_price(i) if offer[UNIT_PRICE] is None else int(offer[UNIT_PRICE])
        answers[i] = (op, int(offer[TIME]) - self.sight.day, int(offer[QUANTITY]), price)

    def _best_price(self, i: int) -> int:
        """For offers without a price, which some published agents make."""
        buys = self.sight.roles[i] == Role.SUPPLIER
        return int(self.sight.view.factory[Factory.INPUT_PRICE_LOW if buys else Factory.OUTPUT_PRICE_HIGH])

    def _read(self, answer: Ints) -> Said:
        op, delivery, quantity, price = answer.tolist()
        if op == Op.ACCEPT:
            return ResponseType.ACCEPT_OFFER, None
        if op == Op.REJECT and quantity > 0:
            return ResponseType.REJECT_OFFER, (quantity, self.sight.day + delivery, price)
        return NOTHING


def _said(response: SAOResponse | None) -> Said:
    return (ResponseType.REJECT_OFFER, None) if response is None else (response.response, response.outcome)


def _by_partner(item: tuple[str, Said]) -> str:
    return item[0]
