"""What learners from replay share: what they keep, when they learn, and how they go on exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.game import Game
from trainer.algorithms.memory import Batch, Memory
from trainer.algorithms.trajectories import Trajectories
from trainer.networks import Networks
from trainer.optimiser import Adam


class OffPolicyConfig(LearnerConfig):
    """Settings that all learners from replay have."""

    averaging: float = Field(0.01, gt=0, le=1, description="τ, by which target networks follow per update")
    batch_size: int = Field(1024, ge=1, description="joint transitions per update")
    capacity: int = Field(500_000, ge=1, description="joint transitions that the replay keeps")
    steps_per_update: float = Field(100.0, gt=0, description="steps between two updates")
    warmup: int = Field(2000, ge=1, description="steps before anything is learned")
    reward_scale: float = Field(1.0, gt=0, description="factor of rewards in targets")
    max_staleness: int | None = Field(
        None, ge=0, description="updates that the acting policy may be behind; older experience is dropped"
    )


class OffPolicyLearner:
    """See ``Learner``. Subclasses take a gradient step, and say which networks they have.

    Attributes:
        experience: steps learned from.
    """

    on_policy: ClassVar[bool] = False

    def __init__(self, config: OffPolicyConfig, game: Game, seed: int) -> None:
        self.config, self.game = config, game
        self.updates = self.stale = self.experience = 0
        self._owed = 0.0
        self._draws = torch.Generator().manual_seed(seed)
        self._memory = self._remember(game, config.capacity)

    def _remember(self, game: Game, capacity: int) -> Memory:
        """An empty replay of what this learner reads."""
        raise NotImplementedError

    def _learn(self, batch: Batch) -> dict[str, Tensor]:
        """One gradient step; returns losses by name, those of parts that did not learn left out."""
        raise NotImplementedError

    def _parts(self) -> dict[str, Networks | Adam]:
        """Everything that is learned, by name."""
        raise NotImplementedError

    def add(self, experience: Trajectories) -> None:
        """Take in what happened, unless too old policies acted.

        Raises:
            ValueError: a shape differs from the game's, or something is not finite.
        """
        experience.check(self.game)
        config = self.config
        if config.max_staleness is not None and self.updates - experience.version[1] > config.max_staleness:
            self.stale += experience.steps
            return
        self._memory.add(experience)
        self.experience += experience.steps
        if self.experience >= config.warmup:
            self._owed += experience.steps / config.steps_per_update

    def update(self) -> dict[str, float]:
        """Take the gradient steps that are owed; returns mean losses."""
        count = int(self._owed)
        self._owed -= count
        total: dict[str, Tensor] = {}
        times: Counter[str] = Counter()
        for _ in range(count):
            self.updates += 1
            for name, loss in self._learn(self._memory.draw(self.config.batch_size, self._draws)).items():
                total[name] = total.get(name, torch.zeros(())) + loss
                times[name] += 1
        return {name: float(loss) / times[name] for name, loss in total.items()}

    def _scheduled(self, initial: float, final: float, steps: int) -> float:
        """What goes evenly from one value to the other in so many steps, by now."""
        return initial + min(1.0, self.experience / steps) * (final - initial)

    def state_dict(self) -> dict[str, Any]:
        """Everything, exactly: nested dicts of tensors and JSON values."""
        counts = {"updates": self.updates, "stale": self.stale, "experience": self.experience, "owed": self._owed}
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        return {"counts": counts, **parts, "memory": self._memory.state_dict(), "draws": self._draws.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on exactly where ``state_dict`` was taken."""
        for name, part in self._parts().items():
            part.load_state_dict(state.get(name, {}))
        self._memory.load_state_dict(state["memory"])
        self._draws.set_state(state["draws"])
        counts = state["counts"]
        self.updates, self.stale = int(counts["updates"]), int(counts["stale"])
        self.experience, self._owed = int(counts["experience"]), float(counts["owed"])
