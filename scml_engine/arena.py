# SPDX-License-Identifier: AGPL-3.0-or-later
"""A world of the league with desks at its seats, books of what is signed, and a choice of physics."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scml.std import SCML2024StdWorld

from agora.negotiation.layout import Commitment
from agora.negotiation.wire import HORIZON
from scml_engine.desk import Desk
from scml_engine.spec import Decide, WorldSpec
from scml_engine.tracker import Tracker

# The engine's limits are in wall-clock seconds. Here callers have deadlines of their own, and a world that waits for a
# service, or for its turn among others, must not be cut short.
NO_LIMIT = 1e9


class Arena(SCML2024StdWorld):
    """One world.

    Attributes:
        spec: what it is.
        ids: the engine's ids of the factories, level by level.
        names: the same as "level.place".
        desks: one per factory.
        books: float64 (factories, days + HORIZON + 1, 4): what is signed and not nullified for each day, columns
            ``Commitment``, without nature's contracts.
        tracker: where what happens is written down; None writes nothing.
        decide: who answers for seats played from outside.
        sequence: counts decisions and contracts.
        hash: of contracts, offers and balances so far.
        nullified: the day on which a contract became void, by its id.
        free_units: float64 (factories,), made minus received so far, may be negative.
    """

    def __init__(
        self, spec: WorldSpec, config: dict[str, Any], decide: Decide | None, tracker: Tracker | None, **options: Any
    ) -> None:
        self.spec, self.decide, self.tracker = spec, decide, tracker
        self.sequence = 0
        self.hash = hashlib.sha256()
        self.desks: list[Desk] = []
        limits = {"time_limit": NO_LIMIT, "neg_step_time_limit": NO_LIMIT, "neg_hidden_time_limit": NO_LIMIT}
        super().__init__(**{**config, **limits, **options})
        self.ids: list[str] = [
            aid for aid in self.agents if aid in self.agent_profiles and aid not in ("SELLER", "BUYER")
        ]
        self.names = [f"{level}.{place}" for level, size in enumerate(spec.shape) for place in range(size)]
        self.name_of = dict(zip(self.ids, self.names, strict=True))
        self.books: NDArray[np.float64] = np.zeros((len(self.ids), spec.days + HORIZON + 1, len(Commitment)))
        self.free_units = np.zeros(len(self.ids))
        self.shortfall = np.zeros(len(self.ids))
        self._signed: list[tuple[Any, int, int]] = []
        self.nullified: dict[str, int] = {}
        self._index = {aid: i for i, aid in enumerate(self.ids)}
        flat = [seat for level in spec.seats for seat in level]
        self.desks = [Desk(self, i, seat) for i, seat in enumerate(flat)]

    def join(self, *arguments: Any, **named: Any) -> None:
        """Seat an agent, without writing the list of all agents to disk again."""
        if self.spec.fast:
            self._extra_folder = None
        super().join(*arguments, **named)

    def simulation_step(self, stage: int = 0) -> None:
        """The engine's morning (stage 0) and evening (stage 1)."""
        if stage == 0:
            super().simulation_step(stage)
            return
        before = [self._inventory_input[aid] for aid in self.ids]
        super().simulation_step(stage)
        self._close_day(before)

    def _make_negotiations(self) -> None:
        """Nature's contracts of today are known by now, and nobody has decided yet."""
        if self.tracker is not None:
            self.tracker.morning(self)
        super()._make_negotiations()

    def _add_edges(self, *arguments: Any, **named: Any) -> None:
        """Nobody draws this world, and the engine would add an edge for every pair whenever one negotiation ends."""

    def next_sequence(self) -> int:
        """A number for a decision or contract; later ones are higher."""
        self.sequence += 1
        return self.sequence

    def on_negotiation_processed(self, info: Any, contract: Any) -> None:
        """Enter a contract into both books."""
        super().on_negotiation_processed(info, contract)
        if contract is not None:
            self._enter(info, contract)
        if self.tracker is not None:
            self.tracker.negotiation(self, info, contract)

    def _enter(self, info: Any, contract: Any) -> None:
        agreed = contract.agreement
        day, quantity, price = int(agreed["time"]), int(agreed["quantity"]), float(agreed["unit_price"])
        seller, buyer = self._index[contract.annotation["seller"]], self._index[contract.annotation["buyer"]]
        self._book(seller, buyer, day, quantity, price, 1)
        self._signed.append((contract, seller, buyer))
        self.hash.update(f"c{self.current_step},{seller},{buyer},{day},{quantity},{price};".encode())
        sequence = self.next_sequence()
        if self.tracker is not None:
            self.tracker.contract(self, sequence, info, contract)

    def _book(self, seller: int, buyer: int, day: int, quantity: int, price: float, sign: int) -> None:
        sold, bought = self.books[seller, day], self.books[buyer, day]
        sold[Commitment.SALES] += sign * quantity
        sold[Commitment.SALES_REVENUE] += sign * quantity * price
        bought[Commitment.SUPPLIES] += sign * quantity
        bought[Commitment.SUPPLIES_COST] += sign * quantity * price

    def _close_day(self, before: list[int]) -> None:
        """Physics, and what the day has shown."""
        for i, aid in enumerate(self.ids):
            made = round(self._productivity[aid] * self.agent_profiles[aid].n_lines)
            received = int(self._input_quantity[aid])
            self.free_units[i] += made - received
            self.shortfall[i] += self._shortfall_quantity[aid]
            if self.spec.physics == "conserving":
                self._inventory_input[aid] = max(0, before[i] + received - made)
            self.hash.update(f"b{self.current_step},{i},{self.current_balance(aid):.6f};".encode())
        if self.tracker is not None:
            self.tracker.day(self)
        self._strike_nullified()

    def _strike_nullified(self) -> None:
        """Contracts of a factory that went bankrupt today are void; take them out of the books."""
        kept = []
        for entry in self._signed:
            contract, seller, buyer = entry
            agreed = contract.agreement
            if contract.nullified_at is not None and contract.nullified_at >= 0:
                # The engine writes a later day over it every evening until the delivery would have been due.
                self.nullified[contract.id] = self.current_step
                self._book(seller, buyer, int(agreed["time"]), int(agreed["quantity"]), float(agreed["unit_price"]), -1)
            elif agreed["time"] > self.current_step:
                kept.append(entry)
        self._signed = kept
