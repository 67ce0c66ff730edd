"""Experience: joint transitions in a ring of fixed capacity, drawn per agent by relevance and age."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Transitions:
    """K joint transitions, flattened to what networks read.

    Attributes:
        critic_state: float32 (K, G, S), what critics see beside actions; G is 1 where all agents' see the same, else N.
        observations: float32 (K, N, O).
        actions: float32 (K, N, A), as played, in the action's own units.
        rewards: float32 (K, N), in the game's own unit.
        weights: float32 (K, N), how much the transition says to an agent's critic; 0 is never drawn.
        continues: float32 (K, N), 0 where the rules ended the agent's episode, else 1 (also where it was cut off).
        next_critic_state, next_observations: as above, after the transition; width 0 where nobody looks ahead.
    """

    critic_state: Floats
    observations: Floats
    actions: Floats
    rewards: Floats
    weights: Floats
    continues: Floats
    next_critic_state: Floats
    next_observations: Floats

    def __len__(self) -> int:
        return len(self.rewards)


NAMES = tuple(field.name for field in fields(Transitions))


class Replay:
    """A ring of the newest ``capacity`` joint transitions.

    Attributes:
        capacity: how many it keeps.
        added: how many were ever added.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.added = 0
        self._arrays: dict[str, Floats] = {}

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, batch: Transitions) -> None:
        """Add transitions; of more than ``capacity``, the last ones stay.

        Raises:
            ValueError: an array's shape differs from what was added before, or is not finite, or this machine has no
                memory for that many.
        """
        places = (self.added + np.arange(len(batch))) % self.capacity
        keep = slice(max(0, len(batch) - self.capacity), None)
        for name in NAMES:
            values: Floats = getattr(batch, name)
            ring = self._ring(name, values)
            wrong = values[~np.isfinite(values)]
            if values.shape != (len(batch), *ring.shape[1:]) or len(wrong):
                expected = f"finite float32 {[len(batch), *ring.shape[1:]]}"
                got = f"{list(values.shape)}{f' with {wrong[0]}' if len(wrong) else ''}"
                raise ValueError(f"transitions.{name}: expected {expected}, got {got}")
            ring[places[keep]] = values[keep]
        self.added += len(batch)

    def _ring(self, name: str, values: Floats) -> Floats:
        if name not in self._arrays:
            try:
                self._arrays[name] = np.zeros((self.capacity, *values.shape[1:]), np.float32)
            except (MemoryError, ValueError) as error:
                raise ValueError(f"capacity: expected what fits into memory, got {self.capacity:,}: {error}") from error
        return self._arrays[name]

    def column(self, name: str) -> Floats:
        """One field of all that is kept, (len, ...), in no particular order. Read only."""
        return self._arrays[name][: len(self)]

    def odds(self, half_life: float, newest: int | None = None) -> NDArray[np.float64]:
        """Odds with which each agent draws each place.

        Args:
            half_life: age, in transitions added since, at which a transition is drawn half as often.
            newest: draw only from so many, None is all.

        Returns:
            float64 (N + 1, len); agent i's row is weights[:, i] by age, the last one is for draws that serve all.
        """
        places = np.arange(len(self))
        age = (self.added - 1 - places) % self.capacity
        fresh = 0.5 ** (age / half_life)
        if newest is not None:
            fresh = fresh * (age < newest)
        weights = self.column("weights").astype(np.float64).T
        return np.concatenate([weights, weights.max(axis=0, keepdims=True)]) * fresh

    def take(self, name: str, places: Indices) -> torch.Tensor:
        """One field at places of any shape (...), as (..., *field)."""
        return torch.from_numpy(self._arrays[name][places])

    def own(self, name: str, places: Indices) -> torch.Tensor:
        """Each agent's own view of one field, (N, B, ...) of the agents' places (N, B)."""
        array = self._arrays[name]
        views = np.arange(len(places))[:, None] if array.shape[1] > 1 else 0
        return torch.from_numpy(array[places, views])

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: tensors of what is kept and the count."""
        kept = {name: torch.from_numpy(self.column(name).copy()) for name in self._arrays}
        return {"added": self.added, "arrays": kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ValueError: it holds more than this ring's capacity, or its count fits another capacity.
        """
        self.added = int(state["added"])
        self._arrays = {}
        for name, tensor in state.get("arrays", {}).items():
            if len(tensor) != len(self):
                raise ValueError(f"replay.{name}: expected {len(self)} transitions, got {len(tensor)}")
            ring = np.zeros((self.capacity, *tensor.shape[1:]), np.float32)
            ring[: len(tensor)] = tensor.numpy()
            self._arrays[name] = ring


def draw(odds: NDArray[np.float64], uniform: NDArray[np.float64]) -> Indices:
    """Places drawn with replacement in proportion to odds.

    Args:
        odds: float64 (len,), not negative, not all zero.
        uniform: float64 (...) in [0, 1).

    Returns:
        int64 (...), places with positive odds.

    Raises:
        ValueError: all odds are zero.
    """
    ladder = np.cumsum(odds)
    if not ladder[-1] > 0.0:
        raise ValueError("replay: expected a transition to learn from, got none with a positive weight")
    last = int(np.flatnonzero(odds)[-1])
    places: Indices = np.minimum(np.searchsorted(ladder, uniform * ladder[-1], side="right"), last)
    return places
