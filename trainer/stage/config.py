"""What learners may be told, and the named presets."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from agora.settings import Settings, Widths
from trainer.networks import Activation

GOLDEN: Final = 0.6180339887498949
"""Multiples of the golden ratio, modulo 1, fill the unit interval evenly from the first on."""


class DdpgConfig(Settings):
    """Settings of the deterministic policy gradient learners. Joint actions count experience, not gradient steps."""

    actor_hidden: Widths = Field((64, 64), description="widths of the actors' hidden layers")
    critic_hidden: Widths = Field((128, 64), description="widths of the critics' hidden layers")
    activation: Activation = Field("silu", description="of hidden layers; smooth ones suit smooth payoffs")
    last_gain: float = Field(
        0.1, gt=0, le=1, description="factor of the actors' last weights at the start; small: the middle of the bounds"
    )
    discount: float = Field(0.0, ge=0, lt=1, description="γ; 0 for a stage game")
    actor_rate: float = Field(1e-3, gt=0, description="Adam's step size for actors")
    critic_rate: float = Field(3e-3, gt=0, description="Adam's step size for critics")
    rate_half_life: float | None = Field(
        7000.0, gt=0, description="joint actions in which both step sizes halve; None: constant"
    )
    rate_floor: float = Field(0.05, gt=0, le=1, description="share of the step sizes that always remains")
    averaging: float = Field(0.01, gt=0, le=1, description="τ, by which averaged networks follow per update")
    act_averaged: bool = Field(True, description="publish and check averaged actors, not the ones being trained")
    batch_size: int = Field(128, ge=1, description="transitions per agent and critic update")
    actor_batch_size: int = Field(64, ge=1, description="observations per actor update")
    capacity: int = Field(30_000, ge=1, description="joint transitions that the replay keeps")
    age_half_life: float | None = Field(
        3000.0, gt=0, description="joint actions after which experience is drawn half as often; None: all alike"
    )
    rival_weight: float = Field(
        0.1, ge=0, le=1, description="odds of transitions in which a rival explored; 1: as any other"
    )
    updates_per_step: float = Field(0.5, gt=0, description="updates per joint action learned from")
    warmup: int = Field(256, ge=1, description="joint actions before critics learn; they fix all scales")
    actor_delay: int = Field(1500, ge=0, description="joint actions before actors learn")
    rivals: Literal["policy", "replay"] = Field(
        "policy", description="rivals' actions in the policy gradient: their actors' now, or as played (the paper's)"
    )
    normalise: bool = Field(True, description="standardise what networks read by the first experience")
    observation_scale: float = Field(0.5, gt=0, description="standard deviation of normalised observations")
    state_scale: float = Field(
        0.1, gt=0, description="standard deviation of what critics read beside actions, if normalised"
    )
    action_scale: float = Field(
        6.0, gt=0, description="bounds of the actions that critics read; more than states: actions explain more"
    )
    leak: float = Field(0.05, ge=0, le=1, description="slope added to the sigmoid's in the policy gradient")
    logit_limit: float = Field(4.0, gt=0, description="logits beyond it are penalised")
    logit_penalty: float = Field(0.1, ge=0, description="weight of the squared excess of logits")
    noise_initial: float = Field(0.3, ge=0, description="exploration at first, a share of the action's bounds")
    noise_floor: float = Field(0.03, gt=0, description="exploration never falls below")
    noise_half_life: float = Field(30_000.0, gt=0, description="joint actions in which exploration halves")
    noise_varied: bool = Field(
        True, description="rounds explore at scales spread log-evenly from the floor up to the decaying scale"
    )
    unilateral_exploration: bool = Field(True, description="in each copy one agent explores, the others act greedily")
    check_refits: int = Field(
        12, ge=0, description="most times that copies of the critics are refitted on proposals in a check; 0: never"
    )
    refit_updates: int = Field(300, ge=1, description="updates per refit of those copies")
    adopt_gain: float | None = Field(
        0.05,
        gt=0,
        description="a proposal that proved to gain more than this share of an agent's payoff is taken over by its "
        "actor, for gradients do not lead out of a plateau; None: never",
    )

    def noise_scale(self, number: int, experienced: int) -> float:
        """Exploration in a round, as a share of the action's bounds.

        Near the policy small steps show slopes and far away large steps show other hills, so rounds take turns.

        Args:
            number: of the round.
            experienced: joint actions since the start, or since exploration was last reset.
        """
        top: float = max(self.noise_floor, self.noise_initial * 0.5 ** (experienced / self.noise_half_life))
        if not self.noise_varied:
            return top
        spread: float = (top / self.noise_floor) ** (number * GOLDEN % 1.0)
        return self.noise_floor * spread


_BRIEF: Final[dict[str, Any]] = {
    "activation": "relu",
    "last_gain": 1.0,
    "actor_rate": 1e-3,
    "critic_rate": 1e-3,
    "rate_half_life": None,
    "act_averaged": False,
    "batch_size": 64,
    "actor_batch_size": 64,
    "capacity": 10_000,
    "age_half_life": None,
    "rival_weight": 1.0,
    "updates_per_step": 1.0,
    "warmup": 64,
    "actor_delay": 64,
    "rivals": "replay",
    "normalise": False,
    "action_scale": 1.0,
    "leak": 0.0,
    "logit_penalty": 0.0,
    "noise_initial": 0.2,
    "noise_floor": 0.02,
    "noise_half_life": 138.3,
    "noise_varied": False,
    "unilateral_exploration": False,
    "check_refits": 0,
    "adopt_gain": None,
}
"""The pricing brief: one update per joint action, noise 0.2 * 0.995**n down to 0.02, everything else as it says. Its
fixed reward scale depends on the game, so here too it is found once, from the first experience."""

PRESETS: Final[dict[str, dict[str, dict[str, Any]]]] = {
    "maddpg": {"default": {}, "brief": _BRIEF},
    "mean_field_ddpg": {
        "default": {
            "rival_weight": 0.0,
            "age_half_life": 800.0,
            "noise_floor": 0.06,
            "actor_rate": 5e-4,
            "critic_rate": 2e-3,
        },
        "brief": _BRIEF,
    },
}
"""By algorithm and preset, what differs from the fields' own defaults."""


def configured(algorithm: str, preset: str, overrides: dict[str, Any]) -> DdpgConfig:
    """A preset with overrides.

    Raises:
        ValueError: no such algorithm, preset or field, or a value is out of range.
    """
    presets = PRESETS.get(algorithm)
    if presets is None or preset not in presets:
        known = {name: sorted(found) for name, found in PRESETS.items()}
        raise ValueError(f"algorithm and preset: expected one of {known}, got {algorithm!r} and {preset!r}")
    return DdpgConfig(**{**presets[preset], **overrides})
