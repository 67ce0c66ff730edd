"""Values, losses and mixing of Q-learning for several agents, as pure functions with the papers' names.

The target y = r + γ Q(s', a') is ``deterministic.target_value``.

Mnih et al. 2015, "Human-level control through deep reinforcement learning", Nature 518 (DQN).
van Hasselt, Guez and Silver 2015, "Deep Reinforcement Learning with Double Q-learning", arXiv:1509.06461.
Sunehag et al. 2017, "Value-Decomposition Networks For Cooperative Multi-Agent Learning", arXiv:1706.05296 (VDN).
Rashid et al. 2018, "QMIX: Monotonic Value Function Factorisation for Deep Multi-Agent Reinforcement Learning",
arXiv:1803.11485.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import elu, huber_loss


def chosen_value(q: Tensor, actions: Tensor) -> Tensor:
    """Q(s, a) of the actions that were taken.

    Args:
        q: values of all choices (N, B, A).
        actions: one-hot (N, B, A).

    Returns:
        (N, B).
    """
    return (q * actions).sum(dim=-1)


def double_q_value(q_next: Tensor, q_next_target: Tensor) -> Tensor:
    """Q(s', argmax_a Q(s', a; θ); θ⁻): θ chooses and θ⁻ evaluates (van Hasselt et al., section "Double DQN").

    Args:
        q_next: values of the learned networks (N, B, A), illegal choices below all legal ones.
        q_next_target: values of the target networks (N, B, A).

    Returns:
        (N, B).
    """
    return q_next_target.gather(-1, q_next.argmax(dim=-1, keepdim=True)).squeeze(-1)


def td_loss(q: Tensor, y: Tensor, weights: Tensor, delta: float) -> Tensor:
    """Mean Huber loss of the temporal difference y - Q, which is Mnih et al.'s clipped error for δ = 1.

    Args:
        q: values (M, B).
        y: targets (M, B); no gradient flows into them.
        weights: (M, B), of the transitions.
        delta: δ, beyond which the loss is linear.

    Returns:
        (M,), zero where all weights are.
    """
    errors = huber_loss(q, y.detach(), delta=delta, reduction="none")
    return (weights * errors).sum(dim=1) / weights.sum(dim=1).clamp_min(1.0)


def additive_value(q: Tensor) -> Tensor:
    """Q_tot = Σ_i Q_i (Sunehag et al., section 3).

    Args:
        q: the agents' values (N, B).

    Returns:
        (1, B).
    """
    return q.sum(dim=0, keepdim=True)


def monotonic_value(q: Tensor, w_1: Tensor, b_1: Tensor, w_2: Tensor, b_2: Tensor) -> Tensor:
    """Q_tot = |W_2|ᵀ elu(|W_1|ᵀ Q + b_1) + b_2, which rises with every agent's value (Rashid et al., section 4).

    Args:
        q: the agents' values (N, B).
        w_1: (B, N, E), of any sign, as are the others; hypernetworks make them of the global state.
        b_1: (B, E).
        w_2: (B, E).
        b_2: (B,).

    Returns:
        (1, B).
    """
    hidden = elu(torch.baddbmm(b_1[:, None], q.T[:, None], w_1.abs()).squeeze(1))
    return ((hidden * w_2.abs()).sum(dim=1) + b_2)[None]
