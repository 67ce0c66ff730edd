"""What a training run may be told; the experiment file and ``--set`` follow from here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """How to train, when to check, and when to stop."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    algorithm: Literal["maddpg", "mean_field_ddpg"] = Field("maddpg", description="the learner")
    preset: Literal["default", "brief"] = Field("default", description="the learner's named defaults")
    learner: dict[str, Any] = Field(default_factory=dict, description="overrides of the preset, by field name")
    num_envs: int = Field(16, ge=1, le=65536, description="copies stepped together in a block")
    blocks_per_round: int = Field(1, ge=1, description="episode blocks collected between two learning phases")
    max_environment_steps: int = Field(
        30_000, ge=1, description="stop after learning from so many joint actions, proposals included"
    )
    check_every: int = Field(10, ge=1, description="rounds between two equilibrium checks (without noise)")
    check_starts: int = Field(20, ge=1, description="random starts of the verified best-response search, per agent")
    epsilon: float = Field(
        1e-3, gt=0, description="converged when verified NashConv is at most this share of total profit"
    )
    stall_change: float = Field(
        0.01, ge=0, description="policies have stalled when no action (share of its bounds) moved more between checks"
    )
    stall_nash_conv: float = Field(
        0.02, ge=0, description="stalled policies get their exploration noise back while NashConv is above this share"
    )
    deadline_seconds: float = Field(5.0, gt=0, description="how long an agent service may take for one frame")
    patience_seconds: float = Field(60.0, gt=0, description="how long to wait for a process that is down")
    keep_checkpoints: int = Field(3, ge=1, description="how many checkpoints stay on disk")
