"""Gradients of the losses, and of the batched networks, beside central differences in double precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from torch import Tensor

from bench.units.comparing import CLIP, DELTA, A, B, N, a_mask, tensor
from trainer.algorithms.losses import deterministic, ppo, q_learning
from trainer.algorithms.relaxation import straight_through
from trainer.networks import Networks

Scalar = Callable[..., Tensor]
Problem = tuple[Scalar, list[Tensor]]
"""A function of some arrays, and where its gradient in all of them is looked at."""

STEP: Final = 1e-5
LIMIT: Final = 1e-7
"""How far a gradient may be off, as a share of the greatest of its entries or 1."""


def _normal(draws: np.random.Generator, *shape: int) -> Tensor:
    return tensor(draws.normal(size=shape))


def _critic(draws: np.random.Generator) -> Problem:
    y = _normal(draws, N, B)
    return lambda q: deterministic.critic_loss(q, y).sum(), [_normal(draws, N, B)]


def _policy(draws: np.random.Generator) -> Problem:
    return lambda q: deterministic.policy_loss(q).sum(), [_normal(draws, N, B)]


def _excess(draws: np.random.Generator) -> Problem:
    return lambda logits: deterministic.logit_excess(logits, 1.0).sum(), [2.0 * _normal(draws, N, B, A)]


def _clipped_policy(draws: np.random.Generator) -> Problem:
    old, advantages, mask = _normal(draws, N, B), _normal(draws, N, B), tensor(a_mask(draws))
    start = [old + 0.5 * _normal(draws, N, B)]
    return lambda log_prob: ppo.policy_loss(log_prob, old, advantages, mask, CLIP).sum(), start


def _clipped_value(draws: np.random.Generator) -> Problem:
    old, target, mask = _normal(draws, N, B), _normal(draws, N, B), tensor(a_mask(draws))
    return lambda v: ppo.value_loss(v, old, target, mask, CLIP, DELTA).sum(), [_normal(draws, N, B)]


def _entropy(draws: np.random.Generator) -> Problem:
    return lambda logits: ppo.entropy_of_choices(logits.log_softmax(dim=-1)).sum(), [_normal(draws, N, B, A)]


def _clipped_gaussian(draws: np.random.Generator) -> Problem:
    low, high = torch.tensor(-0.5, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    x = (2.0 * _normal(draws, N, B)).clamp(low, high)
    start = [_normal(draws, N, B), 0.3 * _normal(draws, N, B)]
    return lambda mean, log_std: ppo.clipped_gaussian_log_prob(x, mean, log_std, low, high).sum(), start


def _td(draws: np.random.Generator) -> Problem:
    y, weights = _normal(draws, N, B), tensor(a_mask(draws))
    return lambda q: q_learning.td_loss(q, y, weights, DELTA).sum(), [_normal(draws, N, B)]


def _mixing(draws: np.random.Generator) -> Problem:
    shapes = ((N, B), (B, N, 5), (B, 5), (B, 5), (B,))
    return lambda *parts: q_learning.monotonic_value(*parts).sum(), [_normal(draws, *shape) for shape in shapes]


def _networks(draws: np.random.Generator, members: list[int] | None) -> Problem:
    """Perceptrons of N agents as one product, in all weights and biases and in what they read."""
    count = N if members is None else max(members) + 1
    networks = Networks(count, (4, 6, 2), "tanh", torch.Generator().manual_seed(0), 1.0, members)
    outward = _normal(draws, N, B, 2)

    def through(inputs: Tensor, *parameters: Tensor) -> Tensor:
        networks.weights, networks.biases = list(parameters[:2]), list(parameters[2:])
        return (networks(inputs) * outward).sum()

    start = [parameter.detach().double() for parameter in networks.parameters]
    return through, [_normal(draws, N, B, 4), *start]


PROBLEMS: Final[Mapping[str, Callable[[np.random.Generator], Problem]]] = {
    "MADDPG: critic loss": _critic,
    "MADDPG: policy loss": _policy,
    "MADDPG: excess of logits": _excess,
    "DQN: Huber loss": _td,
    "QMIX: mixing network": _mixing,
    "PPO: clipped policy loss": _clipped_policy,
    "PPO: clipped value loss": _clipped_value,
    "PPO: entropy of choices": _entropy,
    "PPO: clipped Gaussians": _clipped_gaussian,
    "networks of their own": lambda draws: _networks(draws, None),
    "networks shared by two of three": lambda draws: _networks(draws, [0, 1, 0]),
    "networks shared by all": lambda draws: _networks(draws, [0, 0, 0]),
}


def gradient_errors(problem: Callable[[np.random.Generator], Problem], instances: int) -> list[float]:
    """Largest error of a gradient in each of several random instances, as ``LIMIT`` counts it."""
    found = []
    for seed in range(instances):
        function, start = problem(np.random.default_rng(seed))
        points = [point.clone().requires_grad_() for point in start]
        exact = torch.autograd.grad(function(*points), points)
        pairs = zip(exact, _differences(function, start), strict=True)
        found.append(max(float((one - other).abs().max() / other.abs().max().clamp_min(1.0)) for one, other in pairs))
    return found


def _differences(function: Scalar, points: list[Tensor]) -> list[Tensor]:
    """(f(x + h) - f(x - h)) / 2h in every entry of every array."""
    slopes = [torch.zeros_like(point) for point in points]
    with torch.no_grad():
        for point, slope in zip(points, slopes, strict=True):
            flat, out = point.view(-1), slope.view(-1)
            for place in range(len(flat)):
                kept = float(flat[place])
                sides = []
                for step in (STEP, -STEP):
                    flat[place] = kept + step
                    sides.append(float(function(*points)))
                flat[place] = kept
                out[place] = (sides[0] - sides[1]) / (2.0 * STEP)
    return slopes


def relaxed_errors(instances: int) -> list[float]:
    """Straight-through choices: their gradient must be that of the softmax at the temperature, in closed form."""
    found = []
    for seed in range(instances):
        draws, temperature = np.random.default_rng(seed), 0.5
        logits, outward = _normal(draws, N, B, A).requires_grad_(), _normal(draws, N, B, A)
        gumbel = tensor(draws.gumbel(size=(N, B, A)))
        chosen = straight_through(logits, [A], temperature, gumbel)
        slope = torch.autograd.grad((chosen * outward).sum(), logits)[0]
        soft = np.exp((logits.detach() + gumbel).numpy() / temperature)
        soft /= soft.sum(axis=-1, keepdims=True)
        inner = (soft * outward.numpy()).sum(axis=-1, keepdims=True)
        found.append(float(np.abs(slope.numpy() - soft * (outward.numpy() - inner) / temperature).max()))
    return found
