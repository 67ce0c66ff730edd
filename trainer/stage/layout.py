"""How a game's leaves become the flat rows that networks read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import is_bounded
from agora.spaces import Leaf, leaves
from trainer.spec import UNBOUNDED, GameSpec, check_observed

Floats = NDArray[np.float32]
Leaves = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Layout:
    """Shapes of a game whose N agents are alike, so that their networks can be batched.

    Attributes:
        agents: N.
        observation: leaves of one agent's observation, in the order of the spec.
        state: leaves of the global state.
        action: the leaf of one agent's action.
        low, high: float32 (A,), the action's bounds.
    """

    agents: int
    observation: tuple[Leaf, ...]
    state: tuple[Leaf, ...]
    action: Leaf
    low: Floats
    high: Floats

    @classmethod
    def of(cls, spec: GameSpec) -> Layout:
        """Read a game's spaces.

        Raises:
            ValueError: agents differ in their spaces, an action is not one box with finite bounds, or an observation
                has a key that policies need.
        """
        observed, acted = spec.observation_spaces[0], spec.action_spaces[0]
        for agent, seen, done in zip(spec.agents, spec.observation_spaces, spec.action_spaces, strict=True):
            if seen != observed or done != acted:
                raise ValueError(f"{agent}: expected the spaces of {spec.agents[0]}, got {seen} and {done}")
        check_observed(spec.agents[0], leaves(observed))
        (action, *others) = leaves(acted)
        plain = not (others or action.path or action.choices) and action.dtype.kind == "f"
        bounds = np.array([np.broadcast_to(bound, action.shape).ravel() for bound in (action.low, action.high)])
        if not plain or not (is_bounded(action) and (np.abs(bounds) < UNBOUNDED).all()):
            raise ValueError(f"action space: expected one Box with finite bounds, got {acted}")
        low, high = bounds.astype(np.float32)
        return cls(len(spec.agents), leaves(observed), leaves(spec.state_space), action, low, high)

    @property
    def observation_width(self) -> int:
        """Numbers in one agent's observation."""
        return sum(_size(leaf) for leaf in self.observation)

    @property
    def state_width(self) -> int:
        """Numbers in the global state."""
        return sum(_size(leaf) for leaf in self.state)

    @property
    def action_width(self) -> int:
        """Numbers in one agent's action, A."""
        return len(self.low)

    def observations(self, seen: Sequence[Leaves]) -> Floats:
        """All agents' observations, leaves (K, ...) each, as float32 (K, N, O)."""
        return np.stack([joined(self.observation, leaves) for leaves in seen], axis=1)

    def shared(self, leaf: Leaf) -> bool:
        """Whether an observation's leaf has one row for each agent, as last prices have."""
        return len(leaf.shape) > 1 and leaf.shape[0] == self.agents


def joined(order: Sequence[Leaf], values: Leaves) -> Floats:
    """Leaves (K, ...) side by side, float32 (K, width)."""
    rows = len(next(iter(values.values())))
    parts = [np.asarray(values[leaf.path], np.float32).reshape(rows, -1) for leaf in order]
    return np.concatenate(parts, axis=1)


def _size(leaf: Leaf) -> int:
    return int(np.prod(leaf.shape))
