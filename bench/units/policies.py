"""The losses of PPO and its estimates of returns beside the same figures worked out with loops, numpy and scipy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from bench.units.comparing import CLIP, DELTA, DOUBLE, SINGLE, A, B, Case, Floats, N, a_mask, huber, row_means, tensor
from trainer.algorithms.losses import ppo, returns
from trainer.algorithms.value_norm import ValueNorm


def mean_over(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The mean over the rows that count."""
    values, mask = draws.normal(size=(N, B)), a_mask(draws)
    return ppo.mean_over(tensor(values), tensor(mask)), row_means(mask, lambda i, b: values[i, b])


def normalised(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Scores over the rows that count."""
    advantages, mask = draws.normal(2.0, 3.0, (N, B)), a_mask(draws)
    expected = np.zeros((N, B))
    for i in range(N):
        rows = mask[i] == 1.0
        if rows.any():
            kept = advantages[i, rows]
            expected[i, rows] = (kept - kept.mean()) / (kept.std() + 1e-5)
    return ppo.normalised(tensor(advantages), tensor(mask)), expected


def clipped_policy_loss(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """PPO's objective by cases: a step stops counting once it went far enough in its own favour."""
    new, old, advantage = 0.5 * draws.normal(size=(3, N, B))
    mask = a_mask(draws)

    def value(i: int, b: int) -> float:
        ratio, gain = math.exp(new[i, b] - old[i, b]), advantage[i, b]
        return -float(gain) * (min(ratio, 1.0 + CLIP) if gain > 0.0 else max(ratio, 1.0 - CLIP))

    return ppo.policy_loss(tensor(new), tensor(old), tensor(advantage), tensor(mask), CLIP), row_means(mask, value)


def clipped_value_loss(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The worse of Huber's loss of the value and of the value that stays near the old one."""
    (v, old, target), mask = draws.normal(size=(3, N, B)), a_mask(draws)

    def value(i: int, b: int) -> float:
        near = min(max(v[i, b], old[i, b] - CLIP), old[i, b] + CLIP)
        return max(huber(x - target[i, b], DELTA) for x in (v[i, b], near))

    return ppo.value_loss(tensor(v), tensor(old), tensor(target), tensor(mask), CLIP, DELTA), row_means(mask, value)


def entropy_of_choices(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """As scipy has it."""
    logits = 2.0 * draws.normal(size=(N, B, A))
    expected = np.asarray(stats.entropy(special.softmax(logits, axis=-1), axis=-1))
    return ppo.entropy_of_choices(tensor(logits).log_softmax(dim=-1)), expected


def entropy_of_gaussian(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """As scipy has it."""
    log_std = draws.normal(size=(N, A))
    return ppo.entropy_of_gaussian(tensor(log_std)), np.vectorize(lambda x: stats.norm(scale=math.exp(x)).entropy())(
        log_std
    )


def clipped_gaussian(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The density between the bounds, and its probability of what lies beyond them."""
    mean, log_std = draws.normal(size=(N, B)), 0.5 * draws.normal(size=(N, B))
    low, high = np.array(-0.5), np.array(0.8)
    x = np.clip(mean + np.exp(log_std) * draws.normal(size=(N, B)), low, high)
    expected = np.empty((N, B))
    for place in np.ndindex(N, B):
        normal = stats.norm(mean[place], math.exp(log_std[place]))
        beyond = normal.logcdf(low) if x[place] == low else normal.logsf(high)
        expected[place] = normal.logpdf(x[place]) if low < x[place] < high else beyond
    return ppo.clipped_gaussian_log_prob(*(tensor(v) for v in (x, mean, log_std, low, high))), expected


def advantages_by_the_sum(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Generalised advantages as the paper's sum over surprises that are still to come, term by term."""
    steps, gamma, lam = 9, 0.9, 0.8
    r, v = draws.normal(size=(steps, B)), draws.normal(size=(steps + 1, B))
    terminated = draws.random((steps, B)) < 0.15
    truncated = ~terminated & (draws.random((steps, B)) < 0.15)
    surprise = r + gamma * np.where(terminated, 0.0, v[1:]) - v[:-1]
    expected = np.zeros((steps, B))
    for t, b in np.ndindex(steps, B):
        for later in range(t, steps):
            expected[t, b] += (gamma * lam) ** (later - t) * surprise[later, b]
            if terminated[later, b] or truncated[later, b]:
                break
    always = np.ones((steps, B), np.bool_)
    ends = tensor(terminated), tensor(truncated)
    return returns.generalised_advantages(tensor(r), tensor(v), *ends, tensor(always), gamma, lam)[0], expected


def advantages_of_decisions(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """The same where agents sit out steps: first the chain of decisions is written down, then the recursion is run."""
    steps, gamma, lam = 12, 0.9, 0.8
    r, v = draws.normal(size=(steps, B)), draws.normal(size=(steps + 1, B))
    terminated, decided = draws.random((steps, B)) < 0.1, draws.random((steps, B)) < 0.5
    expected = np.zeros((steps, B))
    for b in range(B):
        for t in reversed(np.flatnonzero(decided[:, b])):
            worth, discount, now = 0.0, 1.0, int(t)
            while True:
                worth, discount = worth + discount * r[now, b], discount * gamma
                over, now = bool(terminated[now, b]), now + 1
                if over or now == steps or decided[now, b]:
                    break
            worth += 0.0 if over else discount * v[now, b]
            follows = 0.0 if over or now == steps else discount * lam * expected[now, b]
            expected[t, b] = worth - v[t, b] + follows
    never = np.zeros((steps, B), np.bool_)
    ends = tensor(terminated), tensor(never)
    found = returns.generalised_advantages(tensor(r), tensor(v), *ends, tensor(decided), gamma, lam)[0]
    return torch.where(tensor(decided), found, 0.0), expected


def value_statistics(draws: np.random.Generator) -> tuple[Tensor, Floats]:
    """Running mean and deviation of returns: all batches at once, each weighted by its age."""
    keep, batches, mask = 0.7, draws.normal(5.0, 2.0, (4, N, B)), a_mask(draws)
    mask[-1, 0] = 1.0
    norm = ValueNorm(N, keep)
    for batch in batches:
        norm.update(tensor(batch), tensor(mask))
    age = np.array([keep ** (3 - k) for k in range(4)])
    expected = np.empty((N, 2))
    for i in range(N):
        values, weights = batches[:, i, mask[i] == 1.0], np.repeat(age[:, None], int(mask[i].sum()), axis=1)
        mean = np.average(values, weights=weights)
        expected[i] = mean, math.sqrt(np.average((values - mean) ** 2, weights=weights))
    return torch.cat([norm.mean, norm.std], dim=1), expected


CASES: Final[Mapping[str, tuple[Case, float]]] = {
    "PPO: means over decisions": (mean_over, DOUBLE),
    "PPO: normalised advantages": (normalised, DOUBLE),
    "PPO: clipped policy loss": (clipped_policy_loss, DOUBLE),
    "PPO: clipped value loss": (clipped_value_loss, DOUBLE),
    "PPO: entropy of choices": (entropy_of_choices, DOUBLE),
    "PPO: entropy of Gaussians": (entropy_of_gaussian, DOUBLE),
    "PPO: clipped Gaussians": (clipped_gaussian, DOUBLE),
    "GAE: as a sum, ends of both kinds": (advantages_by_the_sum, DOUBLE),
    "GAE: agents that sit out": (advantages_of_decisions, DOUBLE),
    "value normalisation": (value_statistics, SINGLE),
}
"""Name to case, and by how much the two may differ; learners keep normalised values in single precision."""
