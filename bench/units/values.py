"""The losses and values of MADDPG, DQN, VDN and QMIX beside the same figures worked out in plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
from torch import Tensor

from bench.units.comparing import DELTA, DOUBLE, A, B, Case, Floats, N, a_mask, huber, row_means, tensor
from trainer.algorithms import relaxation
from trainer.algorithms.losses import deterministic, q_learning


def target_value(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The reward and γ Q', without Q' where the rules ended the episode."""
    r, q_next, goes_on = draws.normal(size=(N, B)), draws.normal(size=(N, B)), draws.random((N, B)) < 0.5
    expected = np.array([[r[i, b] + (0.9 * q_next[i, b] if goes_on[i, b] else 0) for b in range(B)] for i in range(N)])
    return deterministic.target_value(tensor(r), 0.9, tensor(goes_on.astype(float)), tensor(q_next)), expected


def critic_loss(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Mean squared error per agent."""
    q, y = draws.normal(size=(2, N, B))
    expected = row_means(np.ones((N, B)), lambda i, b: (q[i, b] - y[i, b]) ** 2)
    return deterministic.critic_loss(tensor(q), tensor(y)), expected


def policy_loss(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Negative mean value per agent."""
    q = draws.normal(size=(N, B))
    return deterministic.policy_loss(tensor(q)), row_means(np.ones((N, B)), lambda i, b: -q[i, b])


def logit_excess(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Mean square of what lies beyond ±2."""
    logits = 3.0 * draws.normal(size=(N, B, A))
    beyond = logits - np.clip(logits, -2.0, 2.0)
    return deterministic.logit_excess(tensor(logits), 2.0), np.array([np.mean(part**2) for part in beyond])


def straight_through(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The greatest of logits plus Gumbel noise, which is a draw from the softmax."""
    logits, noise = draws.normal(size=(N, B, A)), draws.gumbel(size=(N, B, A))
    expected = np.zeros((N, B, A))
    for place in np.ndindex(N, B):
        expected[place][max(range(A), key=lambda a: (logits[place] + noise[place])[a])] = 1.0
    return relaxation.straight_through(tensor(logits), [A], 0.5, tensor(noise)), expected


def chosen_value(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The entry of the choice."""
    q, picked = draws.normal(size=(N, B, A)), draws.integers(A, size=(N, B))
    expected = np.array([[q[i, b, picked[i, b]] for b in range(B)] for i in range(N)])
    return q_learning.chosen_value(tensor(q), tensor(np.eye(A)[picked])), expected


def double_q_value(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """One table chooses among the legal choices, the other evaluates."""
    q, other, legal = draws.normal(size=(N, B, A)), draws.normal(size=(N, B, A)), draws.random((N, B, A)) < 0.5
    legal[..., 1] = True
    expected = np.array(
        [[other[i, b, max(np.flatnonzero(legal[i, b]), key=lambda a: q[i, b, a])] for b in range(B)] for i in range(N)]
    )
    return q_learning.double_q_value(relaxation.masked(tensor(q), tensor(legal.astype(float))), tensor(other)), expected


def td_loss(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Huber's loss over the transitions that count."""
    (q, y), mask = draws.normal(size=(2, N, B)), a_mask(draws)
    expected = row_means(mask, lambda i, b: huber(q[i, b] - y[i, b], DELTA))
    return q_learning.td_loss(tensor(q), tensor(y), tensor(mask), DELTA), expected


def additive_value(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """VDN's sum."""
    q = draws.normal(size=(N, B))
    return q_learning.additive_value(tensor(q)), np.array([[math.fsum(q[:, b]) for b in range(B)]])


def monotonic_value(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """QMIX's network, one transition at a time."""
    width = 5
    q, w_1, b_1 = draws.normal(size=(N, B)), draws.normal(size=(B, N, width)), draws.normal(size=(B, width))
    w_2, b_2 = draws.normal(size=(B, width)), draws.normal(size=B)
    expected = np.empty((1, B))
    for b in range(B):
        into = [b_1[b, e] + sum(abs(w_1[b, i, e]) * q[i, b] for i in range(N)) for e in range(width)]
        hidden = [x if x > 0 else math.expm1(x) for x in into]
        expected[0, b] = b_2[b] + sum(abs(w_2[b, e]) * hidden[e] for e in range(width))
    return q_learning.monotonic_value(*(tensor(x) for x in (q, w_1, b_1, w_2, b_2))), expected


CASES: Final[Mapping[str, tuple[Case, float]]] = {
    "MADDPG: target values": (target_value, DOUBLE),
    "MADDPG: critic loss": (critic_loss, DOUBLE),
    "MADDPG: policy loss": (policy_loss, DOUBLE),
    "MADDPG: excess of logits": (logit_excess, DOUBLE),
    "Gumbel-softmax: choices": (straight_through, DOUBLE),
    "DQN: value of the choice": (chosen_value, DOUBLE),
    "DQN: double Q-learning, legal choices only": (double_q_value, DOUBLE),
    "DQN: Huber loss": (td_loss, DOUBLE),
    "VDN: sum of values": (additive_value, DOUBLE),
    "QMIX: mixing network": (monotonic_value, DOUBLE),
}
"""Name to case, and by how much the two may differ."""
