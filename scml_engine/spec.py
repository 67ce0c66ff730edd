# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one world is: who sits where, its seed and its physics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agora.negotiation.wire import slots_of

SERVICE = "service"
"""The policy of a seat whose answers come from outside the engine."""
Physics = Literal["engine", "conserving"]
Shield = Literal["none", "certain", "covered"]
Streams = Literal["seat", "shared"]


@dataclass(frozen=True)
class SeatSpec:
    """Who plays a factory.

    Attributes:
        policy: "service", a short name of ``scml_engine.policies``, or the dotted path of a class.
        shield: "none", "certain" or "covered"; see ``agora.negotiation.shield``.
    """

    policy: str
    shield: Shield = "none"


@dataclass(frozen=True)
class WorldSpec:
    """One world.

    Attributes:
        seed: of everything that is drawn while it is played.
        days: how many.
        seats: per level, its factories; level 0 first.
        physics: "engine": what lies in store is never used up, as in scml 0.8.4; "conserving": it is.
        streams: "seat": every published agent draws from a stream of its own, so that replacing one does not disturb
            the others; "shared": all draw from the process's one stream, as in the leagues.
        fast: without the engine's own logs and with cheaper engine internals; trajectories are the same.
        config_seed: what costs, balances and nature's contracts are drawn from; None is ``seed``. They depend on it,
            on ``days`` and on the number of seats per level, and on nothing else.
    """

    seed: int
    days: int
    seats: tuple[tuple[SeatSpec, ...], ...]
    physics: Physics = "engine"
    streams: Streams = "seat"
    fast: bool = True
    config_seed: int | None = None

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> WorldSpec:
        """Back from ``dataclasses.asdict`` through JSON."""
        seats = tuple(tuple(SeatSpec(**seat) for seat in level) for level in fields["seats"])
        return cls(**{**fields, "seats": seats})

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Factories per level."""
        return tuple(len(level) for level in self.seats)

    @property
    def slots(self) -> int:
        """K: most partners that a factory of this world has."""
        return slots_of(self.shape)


class Reply(NamedTuple):
    """What came back for a seat played from outside.

    Attributes:
        answers: int32 (K, 4), columns ``agora.negotiation.layout.Answer``.
        substituted: nobody answered, and these stand in.
    """

    answers: NDArray[np.int32]
    substituted: bool = False


Decide = Callable[[int, NDArray[Any]], Reply]
"""Asks for a decision: the seat's number (level by level), and its view, a record of ``view_dtype``, valid until the
next call. The world is blocked until this returns."""


@dataclass(frozen=True)
class WorldResult:
    """How a world went; per-factory values level by level.

    Attributes:
        scores: final balance / initial balance.
        balances: money.
        shortfall: units owed and not delivered, as the engine counted them.
        free_units: units made without material: made minus received, summed over days, at least 0.
        bankrupt: whether it went bankrupt.
        digest: sha256 over all contracts, offers and balances, in hexadecimal.
        days: played.
        seconds: of wall clock.
        substituted: decisions for which a default stood in.
    """

    scores: tuple[float, ...]
    balances: tuple[float, ...]
    shortfall: tuple[float, ...]
    free_units: tuple[float, ...]
    bankrupt: tuple[bool, ...]
    digest: str
    days: int
    seconds: float
    substituted: int
