"""Replay of joint transitions, each one row of numbers: a batch is one gather."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.algorithms.game import Floats, Game
from trainer.algorithms.trajectories import Trajectories


@dataclass(frozen=True)
class Batch:
    """K joint transitions of N agents, as views of one gathered array.

    Attributes:
        observations, next_observations: float32 (K, N, O).
        actions: float32 (K, N, A), as in ``Trajectories``.
        rewards: float32 (K, N).
        continues: float32 (K, N), 0 where the rules ended the agent's part, else 1 (also where it was cut off).
        acted: float32 (K, N), 0 where the agent did not act itself.
        state, next_state: float32 (K, S); S is 0 where nobody asked for it.
        legal, next_legal: float32 (K, N, A), 1 for legal choices; width 0 in games without masks.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    continues: Tensor
    acted: Tensor
    next_observations: Tensor
    state: Tensor
    next_state: Tensor
    legal: Tensor
    next_legal: Tensor


def _room(rows: int, width: int) -> Tensor:
    """Memory for float32 (rows, width)."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    most = there // (4 * width)
    if rows > most:
        expected = f"at most {most:,} joint transitions of {4 * width:,} bytes, which fill this machine's memory"
        raise ValueError(f"capacity: expected {expected}, got {rows:,}")
    return torch.empty(rows, width)


class Memory:
    """A ring of the newest ``capacity`` joint transitions.

    Attributes:
        added: how many were ever added.
    """

    def __init__(self, game: Game, capacity: int, *, state: bool = False, masks: bool = False) -> None:
        """An empty ring; memory is taken when it is filled.

        Args:
            game: whose transitions.
            capacity: how many are kept.
            state: whether the global state is kept.
            masks: whether legal choices are kept.

        Raises:
            ValueError: this machine has not that much memory.
        """
        n, seen, done = game.size, (game.size, game.observation_width), (game.size, game.action_width)
        wide, legal = (game.state_width if state else 0,), (n, game.action_width if masks else 0)
        self._shapes: dict[str, tuple[int, ...]] = {
            "observations": seen,
            "actions": done,
            "rewards": (n,),
            "continues": (n,),
            "acted": (n,),
            "next_observations": seen,
            "state": wide,
            "next_state": wide,
            "legal": legal,
            "next_legal": legal,
        }
        self._sizes = [math.prod(shape) for shape in self._shapes.values()]
        self._rows = _room(capacity, sum(self._sizes))
        self._state, self._masks = state, masks
        self.added = 0

    def __len__(self) -> int:
        return min(self.added, len(self._rows))

    def add(self, experience: Trajectories) -> None:
        """Add all steps of all copies; of more than ``capacity``, the last ones stay."""
        steps, capacity = experience.steps, len(self._rows)
        kept = min(steps, capacity)
        start = (self.added + steps - kept) % capacity
        first = min(kept, capacity - start)
        columns = self._columns(experience)
        for place, source, count in ((start, steps - kept, first), (0, steps - kept + first, kept - first)):
            rows = self._rows[place : place + count]
            for part, column in zip(torch.split(rows, self._sizes, dim=1), columns, strict=True):
                part.copy_(torch.from_numpy(column[source : source + count]))
        self.added += steps

    def _columns(self, experience: Trajectories) -> list[Floats]:
        steps = experience.steps

        def flat(values: NDArray[Any]) -> Floats:
            return values.reshape(steps, -1).astype(np.float32, copy=False)

        columns = [
            flat(experience.observations[:-1]),
            flat(experience.actions),
            flat(experience.rewards),
            flat(1.0 - experience.terminated),
            flat(experience.acted),
            flat(experience.observations[1:]),
        ]
        none = np.zeros((steps, 0), np.float32)
        columns += [flat(experience.state[:-1]), flat(experience.state[1:])] if self._state else [none, none]
        if not self._masks:
            return [*columns, none, none]
        legal = np.ones_like(experience.actions) if experience.legal is None else experience.legal
        # What will be legal after the last step is not known; choices seldom change in one.
        return [*columns, flat(legal), flat(np.concatenate([legal[1:], legal[-1:]]))]

    def draw(self, size: int, draws: torch.Generator) -> Batch:
        """``size`` transitions drawn uniformly with replacement."""
        rows = self._rows.index_select(0, torch.randint(len(self), (size,), generator=draws))
        parts = torch.split(rows, self._sizes, dim=1)
        named = {
            name: part.reshape(size, *shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
        return Batch(**named)

    def state_dict(self) -> dict[str, Any]:
        """What is kept, and the count."""
        return {"added": self.added, "rows": self._rows[: len(self)].clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what ``state_dict`` gave.

        Raises:
            ValueError: it is of another game or capacity.
        """
        self.added = int(state["added"])
        expected = (len(self), self._rows.shape[1])
        if state["rows"].shape != expected:
            raise ValueError(f"memory: expected rows {list(expected)}, got {list(state['rows'].shape)}")
        self._rows[: len(self)] = state["rows"]
