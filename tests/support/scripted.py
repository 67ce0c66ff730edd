"""A driver that shows what a test says, and keeps what it was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from agora.clients.driver import Driver, Shown
from agora.spaces import leaves

SEEN = spaces.Box(0.0, 1000.0, (2,), np.float32)
KINDS = spaces.Discrete(3)


def shown(
    number: int,
    copies: int = 1,
    rewards: Any = 0.0,
    terminated: Any = False,
    truncated: Any = False,
    awaited: Any = True,
    alive: Any = True,
    masks: Sequence[Sequence[int]] | None = None,
    agents: int = 2,
) -> Shown:
    """Copy c shows agent i (number + 100 i, c); tables are (B, D) or what broadcasts to it.

    Args:
        masks: per agent the mask of its three choices, in all copies.
    """
    return Shown(
        [
            [np.stack([np.full(copies, number + 100 * i), np.arange(copies)], axis=1).astype(np.float32)]
            for i in range(agents)
        ],
        [[] if masks is None else [np.array([masks[i]] * copies, np.uint8)] for i in range(agents)],
        [np.full(copies, number, np.int64)],
        np.broadcast_to(np.asarray(rewards, float), (copies, agents)).copy(),
        *(np.broadcast_to(np.asarray(table, bool), (copies, agents)).copy() for table in (
            terminated, truncated, awaited, alive)),
    )  # fmt: skip


class Scripted(Driver):
    """Shows ``script``, one after the other, whatever is asked."""

    def __init__(self, script: Sequence[Shown], agents: Sequence[str] = ("first", "second"), num_envs: int = 1) -> None:
        self.name, self.num_envs, self.agents = "scripted", num_envs, list(agents)
        self.observation_spaces = dict.fromkeys(agents, SEEN)
        self.action_spaces = dict.fromkeys(agents, KINDS)
        self.action_leaves = {agent: leaves(KINDS) for agent in agents}
        self.state_space = spaces.Discrete(1000)
        self.asked: list[Any] = []
        self._script = list(script)
        self.closed = 0

    def reset(self, seed: int, copies: Any = None) -> Shown:
        """The next one."""
        self.asked.append(("reset", seed, None if copies is None else copies.tolist()))
        return self._script.pop(0)

    def step(self, actions: Mapping[str, Sequence[Any]]) -> Shown:
        """The next one."""
        self.asked.append({agent: [part.tolist() for part in said] for agent, said in actions.items()})
        return self._script.pop(0)

    def close(self) -> None:
        """Nothing runs."""
        self.closed += 1
