"""The losses of proximal policy optimisation, as pure functions with the papers' names.

Schulman et al. 2017, "Proximal Policy Optimization Algorithms", arXiv:1707.06347.
Yu et al. 2021, "The Surprising Effectiveness of PPO in Cooperative Multi-Agent Games", arXiv:2103.01955 (MAPPO).
Fujita and Maeda 2018, "Clipped Action Policy Gradient", arXiv:1802.07564.

N agents, R rows (decisions).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

MOST: Final = 20.0
"""Log-ratios beyond it are cut: float32 holds their exponential, and such a step is clipped anyway."""


def mean_over(values: Tensor, mask: Tensor) -> Tensor:
    """Each agent's mean over the rows that count; 0 where none do.

    Args:
        values: (N, R).
        mask: (N, R), 1 where a row counts, 0 where not.

    Returns:
        (N,).
    """
    return (values * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0)


def normalised(advantages: Tensor, mask: Tensor) -> Tensor:
    """Advantages less their mean, by their standard deviation, for each agent over the rows that count.

    Args:
        advantages: (N, R).
        mask: (N, R).

    Returns:
        (N, R); 0 in rows that do not count.
    """
    centred = (advantages - mean_over(advantages, mask)[:, None]) * mask
    return centred / (mean_over(centred.square(), mask).sqrt()[:, None] + 1e-5)


def policy_loss(log_prob: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    """-L^CLIP(θ) = -E[min(ρ Â, clip(ρ, 1 - ε, 1 + ε) Â)] with ρ = π_θ(a|o) / π_old(a|o) (Schulman et al., equation 7).

    Args:
        log_prob: log π_θ(a|o), (N, R).
        old: log π_old(a|o), (N, R).
        advantages: Â (N, R).
        mask: (N, R).
        clip: ε.

    Returns:
        (N,).
    """
    ratio = (log_prob - old).clamp(-MOST, MOST).exp()
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return -mean_over(torch.minimum(ratio * advantages, clipped * advantages), mask)


def value_loss(v: Tensor, old: Tensor, target: Tensor, mask: Tensor, clip: float, delta: float) -> Tensor:
    """E[max(h(V - R̂), h(clip(V, V_old - ε, V_old + ε) - R̂))] with Huber's h (Yu et al., appendix A).

    h(x) = x² / 2 up to |x| = δ, and δ (|x| - δ / 2) beyond.

    Args:
        v: values V (N, R), normalised as the targets are.
        old: V_old (N, R), by the critic that the targets were made with.
        target: R̂ (N, R).
        mask: (N, R).
        clip: ε.
        delta: δ.

    Returns:
        (N,).
    """
    near = old + (v - old).clamp(-clip, clip)
    losses = [torch.nn.functional.huber_loss(value, target, reduction="none", delta=delta) for value in (v, near)]
    return mean_over(torch.maximum(*losses), mask)


def entropy_of_choices(log_probs: Tensor) -> Tensor:
    """-Σ_a π(a) log π(a); a choice that cannot be has a log-probability that is very low but finite.

    Args:
        log_probs: (..., choices), normalised.

    Returns:
        (...).
    """
    return -(log_probs.exp() * log_probs).sum(dim=-1)


def entropy_of_gaussian(log_std: Tensor) -> Tensor:
    """(1 + log 2π) / 2 + log σ of each element, before it is clipped to its bounds.

    Args:
        log_std: log σ, any shape.

    Returns:
        The same shape.
    """
    return log_std + 0.5 * (1.0 + math.log(2.0 * math.pi))


def clipped_gaussian_log_prob(x: Tensor, mean: Tensor, log_std: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log-probability of a Gaussian draw that was clipped to [low, high] (Fujita and Maeda).

    A density between the bounds, and on a bound the probability of all that lies beyond it.

    Args:
        x: what came out, any shape; the other arguments broadcast to it.
        mean: of the Gaussian.
        log_std: log σ.
        low: lower bounds.
        high: upper bounds.

    Returns:
        The shape of ``x``.
    """
    std = log_std.exp()
    # Rows that are not on a bound get a harmless numerator. Were it chosen after the division, an open bound would
    # divide to infinity, and infinity times the zero gradient of what is not selected is NaN.
    below = torch.where(x <= low, low - mean, 0.0) / std
    above = torch.where(x >= high, mean - high, 0.0) / std
    density = -0.5 * ((x - mean) / std).square() - log_std - 0.5 * math.log(2.0 * math.pi)
    inside = torch.where(x <= low, torch.special.log_ndtr(below), density)
    return torch.where(x >= high, torch.special.log_ndtr(above), inside)
