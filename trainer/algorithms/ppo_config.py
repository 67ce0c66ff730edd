"""Settings of MAPPO and IPPO."""

from __future__ import annotations

from pydantic import Field

from agora.settings import Widths
from trainer.algorithms.base import LearnerConfig


class PpoConfig(LearnerConfig):
    """Settings of MAPPO and IPPO."""

    actor_hidden: Widths = Field((64, 64), description="widths of the actors' hidden layers")
    critic_hidden: Widths = Field((64, 64), description="widths of the critics' hidden layers")
    share: bool | None = Field(None, description="agents with equal spaces share networks; None: where there are such")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="λ, from one step's surprise to whole returns")
    epochs: int = Field(4, ge=1, description="passes over what was collected")
    minibatches: int = Field(8, ge=1, description="gradient steps per pass")
    actor_rate: float = Field(2e-3, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(2e-3, gt=0, description="Adam's step size for critics")
    clip: float = Field(0.2, gt=0, description="ε, by which probabilities may change in one update")
    value_clip: float = Field(0.2, gt=0, description="by how much values may, in units of the returns' spread")
    huber: float = Field(10.0, gt=0, description="δ, beyond which errors of values count linearly, in the same units")
    entropy: float = Field(0.01, ge=0, description="weight of the policies' entropy")
    max_norm: float = Field(10.0, gt=0, description="longest gradient of one network")
    return_memory: float = Field(0.99, ge=0, lt=1, description="β, what an update leaves of the returns' statistics")
    initial_std: float = Field(0.5, gt=0, description="of Gaussian policies at first, a share of the action's bounds")
