"""Estimates of what actions were worth, from rewards and a critic's values.

Schulman et al. 2015, "High-Dimensional Continuous Control Using Generalized Advantage Estimation", arXiv:1506.02438.
"""

from __future__ import annotations

import torch
from torch import Tensor


def generalised_advantages(
    r: Tensor, v: Tensor, terminated: Tensor, truncated: Tensor, decided: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Â_t = Σ_l (γλ)^l δ_{t+l} with δ_t = r_t + γ V(s_{t+1}) - V(s_t) (equation 16), and V(s_t) + Â_t.

    The sum ends with the episode. After termination nothing more comes; where an episode was cut off, or the arrays
    end, V stands for what would have come. A step that an agent did not decide in belongs to its decision before, as in
    a semi-Markov process: its reward is discounted, but it costs no factor λ and its own value counts for nothing.

    Args:
        r: rewards (T, ...).
        v: values (T + 1, ...), in the rewards' units, before each step and after the last.
        terminated: bool (T, ...), ended by the rules after the step.
        truncated: bool (T, ...), cut off after it.
        decided: bool (T, ...), the agent acted in it.
        gamma: γ.
        lam: λ.

    Returns:
        Advantages and targets of values (T, ...); where an agent did not decide, they mean nothing.
    """
    advantages, targets = torch.empty_like(r), torch.empty_like(r)
    ended = terminated | truncated
    goes_on = torch.full_like(r, gamma).masked_fill_(terminated, 0.0)
    decay = torch.full_like(r, gamma * lam).masked_fill_(~decided, gamma).masked_fill_(ended, 0.0)
    value, advantage = v[-1], torch.zeros_like(v[-1])
    for t in reversed(range(len(r))):
        outlook = r[t] + goes_on[t] * torch.where(ended[t], v[t + 1], value)
        value = torch.where(decided[t], v[t], outlook)
        advantage = outlook - value + decay[t] * advantage
        advantages[t], targets[t] = advantage, value + advantage
    return advantages, targets
