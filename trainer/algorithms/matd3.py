"""MATD3: MADDPG with twin critics, smoothed target actions and actors that learn less often than critics.

Ackermann et al. 2019, "Reducing Overestimation Bias in Multi-Agent Domains Using Double Centralized Critics",
arXiv:1910.01465; Fujimoto et al. 2018 (TD3), arXiv:1802.09477.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.deterministic import DeterministicLearner
from trainer.algorithms.deterministic_config import DeterministicConfig
from trainer.algorithms.memory import Batch


class Matd3Config(DeterministicConfig):
    """Settings of MATD3."""

    target_noise: float = Field(0.1, ge=0, description="σ of the noise on target actions, a share of the bounds")
    target_clip: float = Field(0.25, gt=0, description="c, where that noise is clipped, a share of the bounds")


class Matd3(DeterministicLearner):
    """Clipped double Q-learning, target policy smoothing and delayed updates (Fujimoto et al., algorithm 1)."""

    Config: ClassVar[type[LearnerConfig]] = Matd3Config
    config: Matd3Config
    twins: ClassVar[int] = 2
    delay: ClassVar[int] = 2

    def _next_actions(self, batch: Batch) -> Tensor:
        actions = super()._next_actions(batch)
        return self._heads.smoothed(actions, self.config.target_noise, self.config.target_clip, self._draws)
