"""Settings of MADDPG, MATD3 and IDDPG."""

from __future__ import annotations

from pydantic import Field

from agora.settings import Widths
from trainer.algorithms.off_policy import OffPolicyConfig


class DeterministicConfig(OffPolicyConfig):
    """Settings of the deterministic learners."""

    actor_hidden: Widths = Field((64, 64), description="widths of the actors' hidden layers")
    critic_hidden: Widths = Field((128, 128), description="widths of the critics' hidden layers")
    share: bool = Field(False, description="agents with equal spaces share an actor and critics")
    state: bool = Field(False, description="critics see the global state beside all observations")
    actor_rate: float = Field(1e-2, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(1e-2, gt=0, description="Adam's step size for critics")
    noise_initial: float = Field(0.5, ge=0, description="exploration at first, a share of the action's bounds")
    noise_final: float = Field(0.3, ge=0, description="exploration in the end")
    noise_steps: int = Field(500_000, ge=1, description="steps in which exploration falls from one to the other")
    logit_limit: float = Field(4.0, gt=0, description="logits beyond it are penalised")
    logit_penalty: float = Field(1e-2, ge=0, description="weight of the squared excess of logits")
    relaxation: float = Field(1.0, gt=0, description="temperature of the Gumbel-softmax, for choices")
