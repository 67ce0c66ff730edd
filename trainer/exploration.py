"""Exploration noise over a run: it decays as experience grows, and is reset when learning stalls."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class NoiseSchedule:
    """Exponential decay with a floor, by joint actions experienced since the last reset.

    Attributes:
        initial: scale at the start, a share of the action's bounds.
        floor: it never falls below this.
        half_life: joint actions in which it halves.
        experienced: joint actions since the start or the last reset.
    """

    initial: float
    floor: float
    half_life: float
    experienced: int = field(default=0)

    @property
    def scale(self) -> float:
        """The scale now."""
        return max(self.floor, self.initial * math.pow(0.5, self.experienced / self.half_life))

    def advance(self, environment_steps: int) -> None:
        """Count experience."""
        self.experienced += environment_steps

    def reset(self) -> None:
        """Back to the initial scale."""
        self.experienced = 0
