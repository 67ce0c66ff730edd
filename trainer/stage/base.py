"""What the training loop asks of a learner, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from trainer.actor import Actor
from trainer.segments import Segment
from trainer.stage.config import DdpgConfig
from trainer.stage.layout import Layout, Leaves

OwnValues = Callable[[Tensor], Tensor]
"""Values float32 (N, S), in reward units, of S own actions per agent, float32 (N, S, A), rivals' actions held."""


@dataclass(frozen=True)
class Situation:
    """One moment of one copy, at which an equilibrium is judged.

    Attributes:
        state: leaves of the global state, (1, ...).
        observations: leaves per agent, (1, ...).
        actions: float32 (N, A), what all agents do there.
    """

    state: Leaves
    observations: Sequence[Leaves]
    actions: NDArray[np.float32]

    @classmethod
    def last_of(cls, segment: Segment, copy: int = 0) -> Situation:
        """The last decision of a copy in a block."""

        def pick(values: Leaves) -> Leaves:
            return {path: value[-2, copy : copy + 1] for path, value in values.items()}

        agents = segment.agents
        actions = np.stack([part.action[""][-1, copy].ravel() for part in agents]).astype(np.float32)
        return cls(pick(segment.state), [pick(part.observation) for part in agents], actions)


class Appraiser(Protocol):
    """Critics that can be fitted further without changing the learner."""

    def refit(self, newest: int, updates: int, spread: NDArray[np.float64], draws: np.random.Generator) -> None:
        """Fit mostly to the newest transitions; ``spread`` (N,) are the differences of payoff that matter."""
        ...

    @property
    def own_values(self) -> OwnValues:
        """Each agent's critic as a function of its own action."""
        ...


class Learner(Protocol):
    """Critics and actors of all agents of a game."""

    config: DdpgConfig
    layout: Layout
    updates: int

    def add(self, segment: Segment) -> None:
        """Take in a block of experience."""
        ...

    def add_evaluations(self, situation: Situation, actions: NDArray[np.float32], payoffs: NDArray[np.float64]) -> None:
        """Take in payoffs (K, N) of joint actions (K, N, A) evaluated at a situation."""
        ...

    def update(self, steps: int) -> dict[str, float]:
        """Learn as much as ``steps`` more joint actions allow; returns mean losses."""
        ...

    def refit(self, newest: int, updates: int) -> None:
        """Fit critics to the newest transitions, half of every batch, and to all others."""
        ...

    def adopt(self, actions: NDArray[np.float32], wanted: NDArray[np.bool_]) -> None:
        """Make the wanted agents' actors play their rows of actions (N, A)."""
        ...

    def act(self, observations: Sequence[Leaves]) -> NDArray[np.float32]:
        """Greedy actions (K, N, A) at observation leaves (K, ...) per agent."""
        ...

    def appraiser(self, situation: Situation) -> Appraiser:
        """Copies of the critics, to judge own actions at a situation."""
        ...

    def actors(self) -> list[Actor]:
        """Each agent's policy, to be exported."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        ...
