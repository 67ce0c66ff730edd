"""What the training loop asks of a learner, whatever its algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from pydantic import Field

from agora.settings import Settings
from trainer.actor import Actor
from trainer.algorithms.game import Floats, Game
from trainer.algorithms.trajectories import Trajectories
from trainer.exploration import Explore
from trainer.networks import Activation


class LearnerConfig(Settings):
    """Settings that all learners have. Steps are those of one copy."""

    activation: Activation = Field("relu", description="of hidden layers")
    discount: float = Field(0.95, ge=0, lt=1, description="γ")
    rate_steps: int | None = Field(None, ge=1, description="steps in which step sizes fall to rate_floor; None: never")
    rate_floor: float = Field(0.05, gt=0, le=1, description="share of the step sizes that remains")

    def pace(self, experience: int) -> float:
        """Share of the step sizes that remains after so many steps."""
        return 1.0 if self.rate_steps is None else max(self.rate_floor, 1.0 - experience / self.rate_steps)


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
