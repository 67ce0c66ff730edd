"""What one copy of a session shows, in the words of Gymnasium and PettingZoo."""

from __future__ import annotations

from typing import Any

import numpy as np

from agora.clients.driver import Driver, Shown
from agora.clients.values import Array, cast, join, mask, one, split
from agora.errors import Refused
from agora.v1 import policy_pb2


class View:
    """One agent's side of what is shown, and of what it does.

    Args:
        driver: the session.
        agent: the agent's id.
    """

    def __init__(self, driver: Driver, agent: str) -> None:
        self.agent, self.column = agent, driver.agents.index(agent)
        self.observation_space, self.action_space = driver.observation_spaces[agent], driver.action_spaces[agent]
        self._leaves = driver.action_leaves[agent]

    def observation(self, shown: Shown) -> Any:
        """What it sees, in the only copy."""
        return join(self.observation_space, iter([one(array) for array in shown.observations[self.column]]))

    def observations(self, shown: Shown) -> Any:
        """What it sees, in all copies; the caller's to keep."""
        return join(self.observation_space, iter([array.copy() for array in shown.observations[self.column]]))

    def info(self, shown: Shown) -> dict[str, Any]:
        """Its legal-action mask, where it has one."""
        masks = shown.masks[self.column]
        return {"action_mask": mask(self.action_space, iter(masks), whole=False)} if masks else {}

    def pack(self, action: Any, rows: int | None = None) -> list[Array]:
        """Its action as it travels: in the only copy, or a batch of ``rows``.

        Raises:
            Refused: it is not in the action space; the agent and the field are named.
        """
        parts = split(self.action_space, action, f"{self.agent}.action")
        return [cast(leaf, value, rows, field) for leaf, (field, value) in zip(self._leaves, parts, strict=True)]


class Seeds:
    """An environment's seeds: the one given to reset, then some that follow from it."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng()

    def next(self, seed: int | None) -> int:
        """The seed of the next episode."""
        if seed is None:
            return int(self._rng.integers(2**63))
        if seed < 0:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "seed", "0 or more, below 2**63", str(seed))
        self._rng = np.random.default_rng(seed)
        return seed
