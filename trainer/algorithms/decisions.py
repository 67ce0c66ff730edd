"""Trajectories as rows of decisions, each agent's side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.algorithms.game import Game
from trainer.algorithms.trajectories import Trajectories


def check(experience: Trajectories, game: Game) -> None:
    """Refuse what is not of this game.

    Raises:
        ValueError: a shape differs from the game's, or something is not finite.
    """
    t, b = experience.rewards.shape[:2]
    expected = {
        "observations": (t + 1, b, game.size, game.observation_width),
        "state": (t + 1, b, game.state_width),
        "actions": (t, b, game.size, game.action_width),
        "rewards": (t, b, game.size),
    }
    for name, shape in expected.items():
        values = getattr(experience, name)
        if values.shape != shape:
            raise ValueError(f"experience.{name}: expected {list(shape)}, got {list(values.shape)}")
        if not np.isfinite(values).all():
            raise ValueError(f"experience.{name}: expected finite numbers, got NaN or infinity")


def by_agent(values: NDArray[Any]) -> Tensor:
    """Steps (T, B, N, ...) as float32 rows (N, T B, ...)."""
    return torch.from_numpy(values).flatten(0, 1).transpose(0, 1).float().contiguous()
