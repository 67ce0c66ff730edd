# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which policies can play inside the engine, by short names."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from itertools import chain, combinations
from typing import Any, Final

from scml.oneshot.agent import OneShotAgent
from scml.std import StdSyncAgent

from scml_engine.deciders import DECIDERS
from scml_engine.remote import RemoteSeat

_2024, _2025, _2026 = (f"scml_agents.scml{year}.standard." for year in (2024, 2025, 2026))


class DoNothing(StdSyncAgent):
    """Ends every negotiation at once."""

    def first_proposals(self) -> dict[str, None]:
        """No offer to anybody, which ends the negotiations in which ours would be the first."""
        return dict.fromkeys(self.negotiators)

    def counter_all(self, offers: dict[str, Any], states: dict[str, Any]) -> dict[str, Any]:
        """No answer to anybody, which is an end."""
        return {}


def _penguin(mistakes: tuple[int, ...]) -> type:
    from scml_engine.penguin import repaired

    return repaired(frozenset(mistakes))


_REPAIRS = chain.from_iterable(combinations((1, 2, 3), n) for n in (1, 2, 3))

POLICIES: Final[dict[str, str | Callable[[], type]]] = {
    "penguin": _2024 + "team_penguin.PenguinAgent",
    **{"penguin+" + "".join(map(str, which)): functools.partial(_penguin, which) for which in _REPAIRS},
    "cautious": _2024 + "team_miyajima_std.CautiousStdAgent",
    "dog": _2024 + "team_181.DogAgent",
    "ax": _2024 + "team_178.AX",
    "quickdecision": _2024 + "teamyuzuru.QuickDecisionAgent",
    "as0": _2025 + "team_atsunaga.AS0",
    "xenosota": _2025 + "team_253.XenoSotaAgent",
    "ultra": _2025 + "team_254.UltraSuperMiracleSoraFinalAgentZ",
    "pricetrend": _2025 + "team_280.PriceTrendStdAgent",
    "ponpon": _2025 + "team_255.PonponAgent",
    "katsudon": _2025 + "team_268.KATSUDONAgent",
    "litayr": _2025 + "team_276.LitaAgentYR",
    "takalink": _2026 + "team_21282.taka_link_agent.TakaLinkAgent",
    "cow": _2026 + "team_21303.cow.COW",
    "sbd": _2026 + "team_21650.sbd_agent.SBD",
    "horizonaware": _2026 + "team_21653.horizon_aware_agent.HorizonAwareAgent",
    "rohn": _2026 + "team_21695.rohn.Rohn",
    "std26": _2026 + "team_21800.hi.std.Std",
    "greedy": "scml.std.agents.GreedyStdAgent",
    "syncrandom": "scml.std.agents.SyncRandomStdAgent",
    "donothing": lambda: DoNothing,
    **dict.fromkeys(DECIDERS, lambda: RemoteSeat),
}
"""Short name → the class, as a dotted path or a function without arguments, so that none is imported before it plays.

"penguin+12" is Penguin without its mistakes 1 and 2, and so on; see ``scml_engine.penguin``. The names in ``DECIDERS``
are played by the seat that asks outside the engine, and those functions are what it should ask.
"""


def resolve(name: str) -> type:
    """The class that plays a policy.

    Args:
        name: a short name in ``POLICIES``, or the dotted path of a class.

    Raises:
        ValueError: no such policy, or not an agent of the Standard league.
    """
    entry = POLICIES.get(name, name)
    if callable(entry):
        return entry()
    module, _, attribute = entry.rpartition(".")
    if not module:
        raise ValueError(f"policy: expected one of {', '.join(POLICIES)} or a class's dotted path, got {name!r}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"policy: expected one of {', '.join(POLICIES)}, and {name!r} has no class: {error}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, OneShotAgent)):
        raise ValueError(f"policy: expected an agent class of the league, got {name!r}")
    return found
