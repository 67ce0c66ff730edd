"""What a configured task knows of itself, for replays."""

from __future__ import annotations

from typing import Any

from env_server.environments.mpe.scenario import Scenario


def facts(scenario: Scenario) -> dict[str, Any]:
    """How to draw an episode; see ``Environment.facts``.

    ``arena`` is ``{"positions", "goal", "half_width", "entities"}``: the info array of positions (B, entities, 2), that
    of the entity which is the goal (B,) or None, half the width of the square that episodes start in, and per entity
    its ``name``, ``size`` (radius) and ``role`` ("agent", "adversary" or "landmark").
    """
    entities = [{"name": e.name, "size": e.size, "role": e.role} for e in scenario.entities]
    goal = "goal" if scenario.has_goal else None
    return {"arena": {"positions": "positions", "goal": goal, "half_width": 1.0, "entities": entities}}
