"""The four tasks' rewards, compiled.

Copies are float64 (B, columns) with position (x, y) of entity e in columns 2e and 2e + 1, agents before landmarks;
``earned`` is float64 (B, N) and is written. Reals are added in mpe2's order, so that the last digits agree too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from agora.compiling import cached

Floats = NDArray[np.float64]
_compiled = cached(nogil=True, error_model="numpy")
_inlined = njit(nogil=True, error_model="numpy", inline="always")

CAUGHT = 10.0
"""What a collision is worth to a predator, and costs its prey."""


@_inlined
def _distance(row, i, j):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Between two points, given their first columns."""
    x, y = row[i] - row[j], row[i + 1] - row[j + 1]
    return math.sqrt(x * x + y * y)


@_compiled
def spread(touching: float, local_ratio: float, copies: Floats, earned: Floats) -> None:
    """Minus each landmark's distance to its nearest agent, mixed with minus the agent's own collisions."""
    agents = earned.shape[1]
    for b in range(len(copies)):
        row = copies[b]
        team = 0.0
        for landmark in range(agents, 2 * agents):
            nearest = np.inf
            for i in range(agents):
                nearest = min(nearest, _distance(row, 2 * i, 2 * landmark))
            team -= nearest
        for i in range(agents):
            own = 0.0
            for j in range(agents):
                if j != i and _distance(row, 2 * i, 2 * j) < touching:
                    own -= 1.0
            earned[b, i] = team * (1.0 - local_ratio) + own * local_ratio


@_compiled
def adversary(goal: int, copies: Floats, earned: Floats) -> None:
    """The adversary's distance to the goal, which good agents earn and it pays, less that of the nearest of them."""
    for b in range(len(copies)):
        row = copies[b]
        far = _distance(row, 0, goal)
        nearest = np.inf
        for i in range(1, earned.shape[1]):
            nearest = min(nearest, _distance(row, 2 * i, goal))
        earned[b, 0] = -far
        for i in range(1, earned.shape[1]):
            earned[b, i] = -nearest + far


@_inlined
def _outside(x):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """What prey pays for being far out along one axis."""
    if x < 0.9:
        return 0.0
    if x < 1.0:
        return (x - 0.9) * 10.0
    return min(math.exp(2.0 * x - 2.0), 10.0)


@_compiled
def tag(hunters: int, touching: float, copies: Floats, earned: Floats) -> None:
    """All predators earn for each collision of one with prey; prey pays for its own, and for leaving the arena."""
    agents = earned.shape[1]
    for b in range(len(copies)):
        row = copies[b]
        caught = 0.0
        for prey in range(hunters, agents):
            own = 0.0
            for hunter in range(hunters):
                if _distance(row, 2 * prey, 2 * hunter) < touching:
                    own += CAUGHT
            caught += own
            earned[b, prey] = 0.0 - own - _outside(abs(row[2 * prey])) - _outside(abs(row[2 * prey + 1]))
        for hunter in range(hunters):
            earned[b, hunter] = caught


@_compiled
def speaker_listener(goal: int, copies: Floats, earned: Floats) -> None:
    """Both pay the squared distance of the listener, who is agent 1, to the goal."""
    for b in range(len(copies)):
        x, y = copies[b, 2] - copies[b, goal], copies[b, 3] - copies[b, goal + 1]
        earned[b, 0] = earned[b, 1] = -(x * x + y * y)
