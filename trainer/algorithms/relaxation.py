"""Choices as differentiable actions: straight-through Gumbel-softmax.

Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax", arXiv:1611.01144. Lowe et al. 2017 (MADDPG)
relax discrete actions so.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

ILLEGAL = -1e9


def masked(logits: Tensor, legal: Tensor) -> Tensor:
    """Logits with those of illegal choices far below all others.

    Args:
        logits: (..., A).
        legal: (..., A), 1 where legal, 0 where not.
    """
    return torch.where(legal > 0, logits, ILLEGAL)


def one_hot(logits: Tensor, parts: Sequence[int]) -> Tensor:
    """The most likely choice of each part, one-hot.

    Args:
        logits: (..., sum of parts).
        parts: numbers of choices.
    """
    picked = [
        torch.nn.functional.one_hot(part.argmax(dim=-1), part.shape[-1])
        for part in torch.split(logits, list(parts), dim=-1)
    ]
    return torch.cat(picked, dim=-1).to(logits.dtype)


def straight_through(logits: Tensor, parts: Sequence[int], temperature: float, gumbel: Tensor) -> Tensor:
    """Choices drawn from the softmax, one-hot, with the gradient of the relaxed ones (equation 2 and section 2.2).

    Args:
        logits: (..., sum of parts).
        parts: numbers of choices.
        temperature: of the relaxation.
        gumbel: standard Gumbel draws of the same shape; zeros: the most likely choices.
    """
    noisy = (logits + gumbel) / temperature
    soft = torch.cat([part.softmax(dim=-1) for part in torch.split(noisy, list(parts), dim=-1)], dim=-1)
    return one_hot(noisy, parts) + soft - soft.detach()


def standard_gumbel(like: Tensor, draws: torch.Generator) -> Tensor:
    """Gumbel(0, 1) draws of a tensor's shape."""
    uniform = torch.rand(like.shape, generator=draws).clamp_min_(torch.finfo(torch.float32).tiny)
    return -torch.log(-torch.log(uniform))
