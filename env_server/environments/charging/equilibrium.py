"""The price equilibrium of the game: best responses until nobody moves, then Newton's method on all gradients.

Only the payoff and its own-action gradient are used, so any game that offers both could be passed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from env_server.environments.base import PayoffEnvironment

Floats = NDArray[np.float64]
Vector = np.ndarray[tuple[int], np.dtype[np.float64]]

PROBE: Final = 1e-5
"""Step of the central differences of gradients, in action units; only the speed of convergence hangs on it."""


def best_response(game: PayoffEnvironment, actions: Floats, agent: int, start: Floats) -> tuple[Floats, float]:
    """A local maximum of one agent's payoff by L-BFGS-B from a start.

    Args:
        game: whose payoff to maximise.
        actions: (N, A), what the others play.
        agent: index of the agent that responds.
        start: (A,), where to begin.

    Returns:
        the response (A,) and its payoff.
    """
    scale = 1.0 / max(1.0, float(np.abs(game.payoff(actions[None], False)[0]).max()))

    def loss(own: Vector) -> tuple[float, Floats]:
        joint = actions.copy()
        joint[agent] = own
        payoff, slope = game.payoff(joint[None], True)
        return -scale * float(payoff[0, agent]), -scale * np.asarray(slope)[0, agent]

    found = minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * start.size,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
    )
    return np.asarray(found.x), -float(found.fun) / scale


def regrets(game: PayoffEnvironment, actions: Floats, starts: Floats) -> Floats:
    """What each agent could gain by deviating alone, (N,), searched from its own action and from starts (S, A)."""
    now = game.payoff(actions[None], False)[0][0]
    best = [
        max(best_response(game, actions, i, start)[1] for start in (actions[i], *starts)) for i in range(len(actions))
    ]
    return np.asarray(np.maximum(np.array(best) - now, 0.0))


def equilibrium(game: PayoffEnvironment, start: Floats, tolerance: float = 1e-10, rounds: int = 200) -> Floats:
    """The joint action that best responses from a start lead to.

    Args:
        game: whose equilibrium to find.
        start: (N, A), inside the bounds.
        tolerance: how far the last step may still move an action.
        rounds: most rounds of best responses, one agent after the other.

    Returns:
        actions (N, A).

    Raises:
        ArithmeticError: best responses or the polish did not settle.
    """
    actions = start.copy()
    for _ in range(rounds):
        before = actions.copy()
        for agent in range(len(actions)):
            actions[agent] = best_response(game, actions, agent, actions[agent])[0]
        if np.abs(actions - before).max() < 1e-4:
            return _polish(game, actions, tolerance)
    raise ArithmeticError(f"best responses: expected to settle within {rounds} rounds, still moved")


def _polish(game: PayoffEnvironment, actions: Floats, tolerance: float) -> Floats:
    """Newton's method on the own-action gradients of all actions that are not held at a bound."""
    flat, shape = actions.ravel().copy(), actions.shape
    for _ in range(20):
        slope = _slopes(game, flat[None], shape)[0]
        free = ~(((flat <= 0.0) & (slope <= 0.0)) | ((flat >= 1.0) & (slope >= 0.0)))
        if not free.any():
            return flat.reshape(shape)
        move = np.linalg.solve(_hessian(game, flat, shape)[np.ix_(free, free)], -slope[free])
        flat[free] = np.clip(flat[free] + move, 0.0, 1.0)
        if np.abs(move).max() < tolerance:
            return flat.reshape(shape)
    raise ArithmeticError(f"polish: expected a last step < {tolerance}, got {np.abs(move).max():.3g}")


def _slopes(game: PayoffEnvironment, flat: Floats, shape: tuple[int, ...]) -> Floats:
    slopes = np.asarray(game.payoff(flat.reshape(-1, *shape), True)[1], dtype=np.float64)
    return slopes.reshape(len(flat), -1)


def _hessian(game: PayoffEnvironment, flat: Floats, shape: tuple[int, ...]) -> Floats:
    """Derivative of every own-action gradient in every action, (N*A, N*A), one-sided at a bound."""
    up = np.minimum(flat[None, :] + PROBE * np.eye(flat.size), 1.0)
    down = np.maximum(flat[None, :] - PROBE * np.eye(flat.size), 0.0)
    rise = _slopes(game, up, shape) - _slopes(game, down, shape)
    return np.asarray((rise / np.diagonal(up - down)[:, None]).T)
