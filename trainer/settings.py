"""What a training run may be told; the experiment file and ``--set`` follow from here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agora.failures import MAX_FAILED_SHARE
from agora.ranges import DAY
from agora.settings import Seconds, Settings

Goal = Literal["equilibrium", "return"]


class EvaluationGame(Settings):
    """The game on which returns are reported; its agents and their spaces equal those of the game that is learned."""

    name: str = Field(min_length=1, description="the environment's name in the server's table")
    config: dict[str, Any] = Field(default_factory=dict, description="its configuration")


class EvaluationSettings(Settings):
    """How returns are measured: greedily, on the same episodes every time, none of which is learned from."""

    environment: EvaluationGame | None = Field(None, description="the game; none: the one that is learned")
    episodes: int = Field(100, ge=1, le=1_000_000, description="episodes played at every evaluation")
    num_envs: int = Field(50, ge=1, le=65536, description="copies stepped together")


class TrainingSettings(Settings):
    """How to train, when to check, and when to stop."""

    algorithm: str = Field("maddpg", description="the learner")
    goal: Goal | None = Field(
        None,
        description="equilibrium or return; none: equilibrium where the game can evaluate joint actions and the "
        "algorithm looks for equilibria, else return",
    )
    preset: Literal["default", "brief"] = Field("default", description="equilibrium: the learner's named defaults")
    learner: dict[str, Any] = Field(default_factory=dict, description="overrides of the learner's settings, by name")
    num_envs: int = Field(16, ge=1, le=65536, description="copies stepped together in a block")
    blocks_per_round: int = Field(1, ge=1, le=65536, description="episode blocks collected between two learning phases")
    max_environment_steps: int = Field(
        30_000, ge=1, description="stop after learning from so many joint actions, proposals included"
    )
    check_every: int = Field(10, ge=1, description="equilibrium: rounds between two checks (without noise)")
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
    evaluate_every: int = Field(
        100_000, ge=0, description="return: joint actions between two evaluations; 0: only at the end"
    )
    evaluation: EvaluationSettings = Field(
        default_factory=EvaluationSettings, description="return: how policies are evaluated"
    )
    checkpoint_seconds: float = Field(60.0, ge=0, le=DAY, description="return: wall time between two checkpoints")
    max_failed_share: float = Field(
        MAX_FAILED_SHARE,
        ge=0,
        le=1,
        description="the run fails once more of its episodes failed (looked at after 100 episodes, and at the end)",
    )
    log: bool = Field(True, description="whether the servers log the trajectories that are learned from")
    deadline_seconds: Seconds = Field(5.0, description="how long an agent service may take for one frame")
    patience_seconds: Seconds = Field(60.0, description="how long to wait for a process that is down")
    keep_checkpoints: int = Field(3, ge=1, description="how many checkpoints stay on disk")
