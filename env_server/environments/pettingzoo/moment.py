"""What one copy of a PettingZoo environment shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MASK = "action_mask"


class Unfit(ValueError):
    """An environment broke its own promises.

    Attributes:
        agent: whose observation, reward or mask it is.
    """

    def __init__(self, agent: str, message: str) -> None:
        super().__init__(message)
        self.agent = agent


@dataclass
class Moment:
    """What one copy shows after a reset or step; agents are numbers.

    Attributes:
        observations: of those for whom there is a new one.
        masks: of legal actions, as the environment gives them.
        rewards: earned in this step.
        terminated, truncated: whose part ended in this step.
        alive: who takes part now.
        awaited: whose action the next step needs.
    """

    observations: dict[int, Any] = field(default_factory=dict)
    masks: dict[int, Any] = field(default_factory=dict)
    rewards: dict[int, float] = field(default_factory=dict)
    terminated: set[int] = field(default_factory=set)
    truncated: set[int] = field(default_factory=set)
    alive: list[int] = field(default_factory=list)
    awaited: list[int] = field(default_factory=list)


def numbers_of(environment: Any) -> dict[Any, int]:
    """Its possible agents' numbers."""
    return {agent: number for number, agent in enumerate(environment.possible_agents)}


def mask_in(observation: Any, info: Mapping[str, Any]) -> Any:
    """An agent's mask of legal actions as the environment gives it, or None."""
    if MASK in info:
        return info[MASK]
    return observation.get(MASK) if isinstance(observation, Mapping) else None
