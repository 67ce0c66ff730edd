# SPDX-License-Identifier: AGPL-3.0-or-later
"""Policies as classes that the engine's tournament can find again by name.

The tournament writes the names of its competitors to disk and imports them in its workers. Published classes are found
there; a repaired Penguin is made when it is asked for and has the published one's name, under which the published one
would play. So such policies get a class of their own here: ``entrants.Penguin123`` is "penguin+123".
"""

from __future__ import annotations

import functools

from negmas.helpers import get_full_type_name, import_by_name

from scml_engine.deciders import DECIDERS
from scml_engine.league.errors import RefusedError
from scml_engine.policies import POLICIES, resolve

_NAMES = {name.replace("+", "").capitalize(): name for name in POLICIES if "+" in name}


def entrant(policy: str) -> type:
    """The class that enters for a policy.

    Raises:
        RefusedError: it does not play inside the engine.
    """
    if policy in DECIDERS:
        raise RefusedError("--policies", "policies that play inside the engine", repr(policy))
    found = resolve(policy)
    if import_by_name(get_full_type_name(found)) is found:
        return found
    return _made(policy.replace("+", "").capitalize())


def __getattr__(name: str) -> type:
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(name)


@functools.cache
def _made(name: str) -> type:
    return type(name, (resolve(_NAMES[name]),), {"__module__": __name__})
