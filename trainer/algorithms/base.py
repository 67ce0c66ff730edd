"""What the training loop asks of a learner, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from trainer.actor import Actor
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.trajectories import Trajectories
from trainer.exploration import Explore


class LearnerConfig(BaseModel):
    """Base of every learner's settings: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Learner(Protocol):
    """Learns the policies of all agents of a game from what they did.

    Built as ``LearnerClass(config, game, seed)``. A new learner is one file and one line in the table.
    """

    Config: ClassVar[type[LearnerConfig]]
    on_policy: ClassVar[bool]
    """Whether it learns only from what the newest policies did."""
    updates: int
    """Gradient steps taken, which numbers policy versions."""
    stale: int
    """Joint decisions that were dropped because too old policies acted."""

    @staticmethod
    def misfit(game: Game) -> str | None:
        """Why this algorithm cannot learn a game, as "expected X, got Y"; None if it can."""
        ...

    def exploration(self) -> Explore:
        """How agents are to explore in the next collection."""
        ...

    def add(self, experience: Trajectories) -> None:
        """Take in what happened.

        Raises:
            ValueError: shapes differ from the game's, or something is not finite.
        """
        ...

    def update(self) -> dict[str, float]:
        """Learn as much as what was added since the last update allows; returns mean losses, empty while warming up."""
        ...

    def act(self, observations: Floats, draws: np.random.Generator | None) -> tuple[Floats, Floats]:
        """What the policies do, for training in one process.

        Args:
            observations: float32 (B, N, O).
            draws: what exploration is drawn from; None acts greedily.

        Returns:
            Actions float32 (B, N, A) as in ``Trajectories``, and their log-probabilities float32 (B, N).
        """
        ...

    def actors(self) -> list[Actor]:
        """Each agent's policy, to be exported; what agent services then run."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        ...
