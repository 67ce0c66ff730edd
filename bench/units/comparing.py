"""What the cases of ``bench.units`` share.

A case draws an instance, and says what a learner's function makes of it and what the definition does, worked out in
another way.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float64]
Case = Callable[[np.random.Generator], tuple[Tensor, Floats]]

N, B, A = 3, 7, 4
"""Agents, rows and choices."""
CLIP, DELTA = 0.2, 0.7
DOUBLE, SINGLE = 1e-12, 1e-6
"""By how much two ways to work out a figure may differ, by the precision of the learners' arithmetic."""


def tensor(values: NDArray[np.generic]) -> Tensor:
    """The same numbers for torch."""
    return torch.from_numpy(np.ascontiguousarray(values))


def a_mask(draws: np.random.Generator) -> Floats:
    """(N, B) of zeros and ones; the last agent has no row that counts."""
    mask = (draws.random((N, B)) < 0.6).astype(np.float64)
    mask[:, 0], mask[-1] = 1.0, 0.0
    return mask


def row_means(mask: Floats, value: Callable[[int, int], float]) -> Floats:
    """Each agent's mean of ``value(i, row)`` over the rows that count, (N,); 0 where none do."""
    picked = [[value(i, b) for b in range(B) if mask[i, b]] for i in range(N)]
    return np.array([math.fsum(values) / len(values) if values else 0.0 for values in picked])


def huber(error: float, delta: float) -> float:
    """Half the square up to ``delta``, linear beyond (Huber 1964)."""
    return 0.5 * error**2 if abs(error) <= delta else delta * (abs(error) - 0.5 * delta)


def errors(case: Case, instances: int) -> list[float]:
    """Largest absolute error in each of several random instances."""
    found = []
    for seed in range(instances):
        ours, expected = case(np.random.default_rng(seed))
        if tuple(ours.shape) != expected.shape:
            return [math.inf]
        found.append(float(np.abs(ours.detach().numpy() - expected).max()))
    return found
