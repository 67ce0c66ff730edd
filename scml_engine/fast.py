# SPDX-License-Identifier: AGPL-3.0-or-later
"""Cheaper internals of the engine, with the same results; ``python -m bench scml_speed`` compares both."""

from __future__ import annotations

import functools
import gc
from typing import Any

import attrs
from negmas.mechanisms import Mechanism
from negmas.negotiators import controlled
from negmas.sao.common import SAOState
from scml.oneshot.ufun import OneShotUFun

_get = object.__getattribute__
_UUID = "_NamedObject__uuid"
GARBAGE = (20_000, 50, 100)
"""Thresholds of the collector: a world makes many objects and little garbage that needs it, and at Python's own
thresholds looking for some takes a sixth of the time."""


def _copier(cls: type) -> Any:
    """A shallow copy, field by field, written out.

    The engine copies a negotiation's state for every callback, through ``copy.copy`` and its pickling protocol.
    """
    assignments = "".join(f"    new.{field.name} = self.{field.name}\n" for field in attrs.fields(cls))
    scope: dict[str, Any] = {"_new": object.__new__, "_cls": cls}
    exec(f"def __copy__(self):\n    new = _new(_cls)\n{assignments}    return new\n", scope)  # noqa: S102
    return scope["__copy__"]


def _attribute(self: Any, item: str) -> Any:
    """As ``ControlledNegotiator.__getattribute__``, with the commonest cases first."""
    if item == "id":
        return _get(self, "__dict__")[_UUID]
    if item[0] == "_" or item in controlled._NOT_DELEGATED:
        return _get(self, item)
    fields = _get(self, "__dict__")
    parent = fields.get("_Negotiator__parent")
    attribute = None if parent is None else getattr(parent, item, None)
    if attribute is None or not callable(attribute):
        return _get(self, item)
    return functools.partial(attribute, negotiator_id=fields[_UUID])


@functools.cache
def install() -> None:
    """Put them in place, for the life of the process."""
    SAOState.__copy__ = _copier(SAOState)
    controlled.ControlledNegotiator.__getattribute__ = _attribute
    # Every assignment asks whether a cache on disk must be marked; the league never has one.
    OneShotUFun.__setattr__ = object.__setattr__
    # A negotiation's clock is read several times a round, and once it has run for a second the engine draws one more
    # random number, so that what happens depends on how busy the machine is. Limits in rounds remain.
    Mechanism.time = property(lambda self: 0.0)
    gc.freeze()  # what was imported stays
    gc.set_threshold(*GARBAGE)
