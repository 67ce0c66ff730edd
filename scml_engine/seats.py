# SPDX-License-Identifier: AGPL-3.0-or-later
"""Who sits in a factory: published classes with a desk before them, or a seat that asks outside the engine."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from negmas.sao import SAOSyncController
from scml.oneshot.agent import OneShotAgent

from scml_engine.policies import resolve
from scml_engine.remote import RemoteSeat
from scml_engine.spec import SERVICE

if TYPE_CHECKING:
    from scml_engine.desk import Desk

LISTENED = ("before_step", "step", "on_negotiation_success", "on_negotiation_failure")
"""Callbacks besides the decisions in which a published agent may draw random numbers."""


class _Synchronous:
    """Before a class that answers all partners at once."""

    _desk: Desk

    def first_proposals(self) -> Any:
        return self._desk.propose_all(super().first_proposals)  # type: ignore[misc]

    def counter_all(self, offers: dict[str, Any], states: dict[str, Any]) -> Any:
        decide = functools.partial(super().counter_all, offers=offers, states=states)  # type: ignore[misc]
        return self._desk.counter_all(offers, states, decide)

    def propose(self, negotiator_id: str, state: Any, *arguments: Any, **named: Any) -> Any:
        offer = super().propose(negotiator_id, state, *arguments, **named)  # type: ignore[misc]
        self._desk.sight.send(negotiator_id)
        return offer


class _OneByOne:
    """Before a class that negotiates with each partner by itself."""

    _desk: Desk

    def propose(self, negotiator_id: str, state: Any, *arguments: Any, **named: Any) -> Any:
        decide = functools.partial(super().propose, negotiator_id, state, *arguments, **named)  # type: ignore[misc]
        return self._desk.propose_one(negotiator_id, state, decide)

    def respond(self, negotiator_id: str, state: Any, source: str | None = None) -> Any:
        decide = functools.partial(super().respond, negotiator_id, state, source)  # type: ignore[misc]
        return self._desk.respond_one(negotiator_id, state, decide)


@functools.cache
def seated(base: type) -> type:
    """The class with a desk before it, under the same name, since ids and hence orders come from names.

    Raises:
        ValueError: not an agent class of the league.
    """
    if base is RemoteSeat:
        return base
    if not issubclass(base, OneShotAgent):
        raise ValueError(f"policy: expected a subclass of scml.std.StdAgent, got {base.__module__}.{base.__name__}")
    mixin = _Synchronous if _answers_all(base) else _OneByOne
    body = {name: _listening(base, name) for name in LISTENED if getattr(base, name) is not getattr(OneShotAgent, name)}
    return type(base.__name__, (mixin, base), {**body, "__module__": base.__module__})


def _answers_all(base: Any) -> bool:
    """Whether a class answers all partners at once; some that could, propose and respond by themselves."""
    sync = SAOSyncController
    return issubclass(base, sync) and (base.propose, base.respond) == (sync.propose, sync.respond)


def _listening(base: type, name: str) -> Any:
    original = getattr(base, name)

    def callback(self: Any, *arguments: Any, **named: Any) -> Any:
        return self._desk.listen(functools.partial(original, self, *arguments, **named))

    return functools.wraps(original)(callback)


def class_of(policy: str) -> type:
    """The engine class that plays a policy.

    Raises:
        ValueError: no such policy.
    """
    if policy == SERVICE:
        return RemoteSeat
    return seated(resolve(policy))
