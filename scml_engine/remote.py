# SPDX-License-Identifier: AGPL-3.0-or-later
"""A seat whose answers come from outside the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from negmas import SAOResponse
from scml.std import StdSyncAgent

if TYPE_CHECKING:
    from scml_engine.desk import Desk


class RemoteSeat(StdSyncAgent):
    """Played from outside the engine: an agent service, or a function."""

    _desk: Desk

    def first_proposals(self) -> dict[str, Any]:
        """The day's first offers."""
        return {partner: offer for partner, (_, offer) in self._desk.ask({}, {}, first=True).items()}

    def counter_all(self, offers: dict[str, Any], states: dict[str, Any]) -> dict[str, Any]:
        """Answers to the offers on the table."""
        return {partner: SAOResponse(*said) for partner, said in self._desk.ask(offers, states).items()}
