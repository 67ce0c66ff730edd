"""How agents depart from their greedy actions while they are learned from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explore:
    """What a collection asks agent services for.

    Attributes:
        noise_scale: Box leaves: standard deviation of Gaussian noise, as a share of the action's bounds.
        epsilon: leaves of choices: share of decisions drawn uniformly among the legal ones, the rest being greedy; at
            0 choices are drawn from the softmax over logits.
        unilateral: one agent per copy explores, the others act greedily.
    """

    noise_scale: float = 0.0
    epsilon: float = 0.0
    unilateral: bool = False
