# SPDX-License-Identifier: AGPL-3.0-or-later
"""The global state of a running world, for critics and logs; agents never see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scml.oneshot.common import QUANTITY, TIME, UNIT_PRICE

from agora.negotiation.wire import HORIZON, pairs_of

if TYPE_CHECKING:
    from scml_engine.arena import Arena

IDLE = (0, 0, 0, 0, 0, 0)


class StateReader:
    """Reads one world again and again."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        ids = arena.ids
        self._pairs = {(ids[seller], ids[buyer]): i for i, (seller, buyer) in enumerate(pairs_of(arena.spec.shape))}

    def read(self, state: NDArray[Any]) -> None:
        """Fill a record of ``agora.negotiation.wire.state_dtype`` with what is so now."""
        arena = self._arena
        day, inventory = arena.current_step, arena._inventory_input
        state["day"] = day
        state["inventory"] = [inventory[aid] for aid in arena.ids]
        state["balance"] = self.balances()
        state["commitments"] = arena.books[:, day : day + HORIZON + 1]
        state["negotiations"] = self._negotiations(day)

    def balances(self) -> list[float]:
        """Money of every factory, level by level."""
        current_balance = self._arena.current_balance
        return [current_balance(aid) for aid in self._arena.ids]

    def scores(self) -> NDArray[np.float64]:
        """Balance / initial balance of every factory."""
        initial = self._arena.initial_balances
        return np.divide(self.balances(), [initial[aid] for aid in self._arena.ids])

    def _negotiations(self, day: int) -> list[tuple[int, ...]]:
        rows: list[tuple[int, ...]] = [IDLE] * len(self._pairs)
        for info in self._arena._negotiations.values():
            state, parties = info.mechanism._current_state, info.annotation
            offer, buyer = state.current_offer, parties["buyer"]
            # A negotiator bears the name of the partner it speaks to.
            by = 0 if offer is None else 1 if state.current_proposer == buyer else 2
            what = (0, 0, 0) if offer is None else (offer[QUANTITY], offer[TIME] - day, offer[UNIT_PRICE])
            rows[self._pairs[parties["seller"], buyer]] = (1, state.step, by, *what)
        return rows
