"""The losses of deterministic policy gradient methods, as pure functions with the papers' names.

Lowe et al. 2017, "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments", arXiv:1706.02275 (MADDPG).
Yang et al. 2018, "Mean Field Multi-Agent Reinforcement Learning", arXiv:1802.05438.
"""

from __future__ import annotations

import torch
from torch import Tensor


def target_value(r: Tensor, gamma: float, continues: Tensor, q_next: Tensor) -> Tensor:
    """The target y = r + γ Q'(x', a'_1, ..., a'_N) with a'_j = μ'_j(o'_j) (Lowe et al., equation 6).

    Yang et al.'s y = r + γ v^MF(s') is the same with the mean field critic for Q'.

    Args:
        r: rewards (N, B).
        gamma: γ.
        continues: (N, B), 0 where the episode ended by the rules.
        q_next: the target critics' values after the transition (N, B).

    Returns:
        (N, B).
    """
    return r + gamma * continues * q_next


def critic_loss(q: Tensor, y: Tensor) -> Tensor:
    """L(θ_i) = E[(Q_i(x, a_1, ..., a_N) - y)²] (Lowe et al., equation 6), per agent.

    Args:
        q: critics' values (N, B).
        y: targets (N, B); no gradient flows into them.

    Returns:
        (N,).
    """
    return (q - y.detach()).square().mean(dim=1)


def policy_loss(q: Tensor) -> Tensor:
    """-J(μ_i) = -E[Q_i(x, a_1, ..., a_N)] with a_i = μ_i(o_i) (Lowe et al., equation 5).

    Its gradient in an actor's parameters is the negative deterministic policy gradient.

    Args:
        q: critics' values (N, B) at the actors' own actions.

    Returns:
        (N,).
    """
    return -q.mean(dim=1)


def logit_excess(logits: Tensor, limit: float) -> Tensor:
    """Mean square of what logits exceed ``limit`` by, which keeps a sigmoid head from saturating.

    Args:
        logits: (N, B, A).
        limit: positive.

    Returns:
        (N,).
    """
    return torch.relu(logits.abs() - limit).square().mean(dim=(1, 2))
