"""True best responses on a game's own payoff, with few calls of many rows, for a call may be a message to a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, minimize

Floats = NDArray[np.float64]
Payoff = Callable[[Floats, bool], tuple[Floats, Floats | None]]
"""``payoff(actions, gradient)``: payoffs (M, N) of joint actions (M, N, A), and own-action gradients or None."""

REFINED = 4
MAX_ITERATIONS = 100
TOLERANCE = 1e-12


@dataclass(frozen=True)
class BestResponses:
    """Best responses of N agents to one joint action.

    Attributes:
        payoffs: float64 (N,), at the joint action.
        best_actions: float64 (N, A).
        best_payoffs: float64 (N,), >= payoffs.
        evaluations: joint actions evaluated.
    """

    payoffs: Floats
    best_actions: Floats
    best_payoffs: Floats
    evaluations: int


class _Deviations:
    """Own payoffs when one agent at a time departs from a joint action."""

    def __init__(self, payoff: Payoff, actions: Floats) -> None:
        self._payoff, self._actions = payoff, actions
        self.evaluations = 0

    def __call__(self, own: Floats, gradient: bool) -> tuple[Floats, Floats]:
        """Own payoffs (N, C) and gradients (N, C, A) of own actions (N, C, A); gradients are empty if not wanted."""
        n, count, width = own.shape
        agent = np.repeat(np.arange(n), count)
        joint = np.repeat(self._actions[None], n * count, axis=0)
        row = np.arange(n * count)
        joint[row, agent] = own.reshape(-1, width)
        payoffs, slopes = self._payoff(joint, gradient)
        self.evaluations += n * count
        values = payoffs[row, agent].reshape(n, count)
        return values, np.empty(0) if slopes is None else slopes[row, agent].reshape(own.shape)


def unilateral(actions: NDArray[np.float32], own: NDArray[np.float32]) -> NDArray[np.float32]:
    """Joint actions (N, N, A) in the i-th of which agent i plays own[i] and the others play actions (N, A)."""
    joint = np.repeat(actions[None], len(actions), axis=0)
    agents = np.arange(len(actions))
    joint[agents, agents] = own
    return joint


def best_responses(payoff: Payoff, actions: Floats, low: Floats, high: Floats, candidates: Floats) -> BestResponses:
    """Multi-start bounded L-BFGS (Byrd, Lu, Nocedal and Zhu 1995) on every agent's payoff in its own action.

    All candidates are evaluated in one call. From the current action and the best few candidates of each agent,
    L-BFGS-B climbs with exact gradients. Agents and starts do not meet in the objective, so one run climbs their sum,
    and each of its steps is one call.

    Args:
        payoff: the game's own.
        actions: float64 (N, A), inside the bounds.
        low: lower bounds, float64 (A,).
        high: upper bounds, float64 (A,).
        candidates: float64 (N, C, A), inside the bounds.
    """
    deviations = _Deviations(payoff, actions)
    tried = np.concatenate([actions[:, None], candidates], axis=1)
    values, _ = deviations(tried, False)
    order = np.argsort(-values[:, 1:], axis=1)[:, : REFINED - 1] + 1
    picked = np.concatenate([np.zeros((len(actions), 1), np.int64), order], axis=1)
    starts = np.take_along_axis(tried, picked[..., None], axis=1)
    climbed = _climb(deviations, starts, low, high, np.maximum(np.abs(values[:, 0]), np.abs(values).mean(axis=1)))
    climbed_values, _ = deviations(climbed, False)
    points, heights = np.concatenate([tried, climbed], axis=1), np.concatenate([values, climbed_values], axis=1)
    top = heights.argmax(axis=1)
    agents = np.arange(len(actions))
    return BestResponses(values[:, 0], points[agents, top], heights[agents, top], deviations.evaluations)


def _climb(deviations: _Deviations, starts: Floats, low: Floats, high: Floats, scale: Floats) -> Floats:
    """Local maxima (N, C, A) from starts (N, C, A); payoffs are divided by scale (N,) to weigh agents alike."""
    unit = 1.0 / np.maximum(scale, np.finfo(np.float64).tiny)[:, None]

    def objective(flat: Floats) -> tuple[float, Floats]:
        values, slopes = deviations(flat.reshape(starts.shape), True)
        return -float((values * unit).sum()), -(slopes * unit[..., None]).ravel()

    count = starts.shape[0] * starts.shape[1]
    found = minimize(
        objective,
        starts.ravel(),
        jac=True,
        bounds=Bounds(np.tile(low, count), np.tile(high, count)),
        method="L-BFGS-B",
        options={"maxiter": MAX_ITERATIONS, "ftol": TOLERANCE, "gtol": 1e-9, "maxcor": 20},
    )
    return np.clip(np.asarray(found.x, np.float64).reshape(starts.shape), low, high)
