"""What moves particles, compiled: actions to forces, forces to motion, and what agents see of it.

As in mpe2 1.1.1, operation by operation. Copies are float64 (B, columns), see ``scenario.Columns``: position (x, y) of
entity e in columns 2e and 2e + 1, agents before landmarks.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.compiling import cached

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
_compiled = cached(nogil=True, error_model="numpy")

MOVES: Final = 5
"""Stay, left, right, down, up: the length of a continuous action, and the number of discrete ones."""
SECONDS: Final = 0.1
"""Of a step."""
KEPT: Final = 1.0 - 0.25
"""Share of its velocity that an agent keeps over a step."""
STIFFNESS: Final = 100.0
MARGIN: Final = 1e-3
"""Length over which contact becomes soft."""
REACH: Final = 0.105
"""Beyond this gap a push is below the smallest float32: exp(-REACH / MARGIN) * STIFFNESS * MARGIN."""


@_compiled
def push(said: Singles, first: Integers, strength: Floats, words: int, copies: Floats, forces: Floats) -> bool:
    """Turn continuous actions into forces, and the speaker's into words.

    Args:
        said: float32 (B, W), the actions of all agents side by side.
        first: int64 (N,), each agent's first column of ``said``.
        strength: (N,), force of a full action; 0: the agent speaks instead of moving.
        words: first column of the utterance.
        copies: of which the utterance is written.
        forces: (B, N, 2), written.

    Returns:
        False if a number lies outside [0, 1] or is not one; then nothing is written.
    """
    wrong = 0
    for value in said.flat:
        wrong += not 0.0 <= value <= 1.0  # nor is a NaN
    if wrong:
        return False
    for b in range(len(said)):
        for i in range(len(first)):
            k = first[i]
            if strength[i] == 0.0:
                for word in range(k, (first[i + 1] if i + 1 < len(first) else said.shape[1])):
                    copies[b, words + word - k] = said[b, word]
            else:
                # The difference is taken in float32, as mpe2 does.
                forces[b, i, 0] = np.float64(said[b, k + 2] - said[b, k + 1]) * strength[i]
                forces[b, i, 1] = np.float64(said[b, k + 4] - said[b, k + 3]) * strength[i]
    return True


@_compiled
def choose(said: Integers, choices: Integers, strength: Floats, words: int, copies: Floats, forces: Floats) -> bool:
    """As ``push`` for discrete actions, int64 (B, N), each below ``choices``, int64 (N,)."""
    wrong = 0
    for b in range(len(said)):
        for i in range(len(choices)):
            wrong += not 0 <= said[b, i] < choices[i]
    if wrong:
        return False
    for b in range(len(said)):
        for i in range(len(choices)):
            choice = said[b, i]
            if strength[i] == 0.0:
                for word in range(choices[i]):
                    copies[b, words + word] = 1.0 if word == choice else 0.0
            else:
                forces[b, i, 0] = strength[i] * ((choice == 2) - (choice == 1))
                forces[b, i, 1] = strength[i] * ((choice == 4) - (choice == 3))
    return True


@_compiled
def collide(copies: Floats, pairs: Integers, touching: Floats, forces: Floats) -> None:
    """Add what entities that touch do to one another.

    A pair at the very same point is left alone, as there is no direction to push in (mpe2 divides by zero there).

    Args:
        copies: (B, columns).
        pairs: int64 (P, 2), the first an agent.
        touching: (P,), distances at which they touch.
        forces: (B, N, 2), added to.
    """
    for b in range(len(copies)):
        for p in range(len(pairs)):
            i, j = pairs[p]
            x, y = copies[b, 2 * i] - copies[b, 2 * j], copies[b, 2 * i + 1] - copies[b, 2 * j + 1]
            square, limit = x * x + y * y, touching[p] + REACH
            if square > limit * limit or square == 0.0:
                continue
            distance = math.sqrt(square)
            depth = -(distance - touching[p]) / MARGIN
            # log(1 + exp(depth)) without overflow
            soft = (max(depth, 0.0) + math.log1p(math.exp(-abs(depth)))) * MARGIN
            x, y = STIFFNESS * x / distance * soft, STIFFNESS * y / distance * soft
            forces[b, i, 0] += x
            forces[b, i, 1] += y
            if j < forces.shape[1]:
                forces[b, j, 0] -= x
                forces[b, j, 1] -= y


@_compiled
def move(copies: Floats, velocities: int, forces: Floats, strength: Floats, top_speed: Floats) -> None:
    """Move the agents: position first, by the velocity of before, then velocity; masses are 1.

    Args:
        copies: (B, columns), positions and velocities are written.
        velocities: their first column.
        forces: (B, N, 2).
        strength: (N,); 0: the agent does not move.
        top_speed: (N,).
    """
    for b in range(len(copies)):
        for i in range(len(strength)):
            if strength[i] == 0.0:
                continue
            k = velocities + 2 * i
            x, y = copies[b, k], copies[b, k + 1]
            copies[b, 2 * i] += x * SECONDS
            copies[b, 2 * i + 1] += y * SECONDS
            x = x * KEPT + forces[b, i, 0] * SECONDS
            y = y * KEPT + forces[b, i, 1] * SECONDS
            if x * x + y * y > top_speed[i] * top_speed[i]:
                speed = math.sqrt(x * x + y * y)
                x, y = x / speed * top_speed[i], y / speed * top_speed[i]
            copies[b, k], copies[b, k + 1] = x, y


@_compiled
def see(copies: Floats, views: Integers, ends: Integers, seen: Singles, state: Singles) -> None:
    """Write what agents see.

    Args:
        copies: (B, columns).
        views: int64 (S, 2), for each number seen the column it stands in, and the one it is relative to.
        ends: int64 (N,), where each agent's part of ``views`` ends.
        seen: float32 (B * S,), agent after agent, in each copy after copy.
        state: float32 (B, S), the same copy after copy.
    """
    begin = 0
    for i in range(len(ends)):
        width = ends[i] - begin
        for b in range(len(copies)):
            start = begin * len(copies) + b * width
            for k in range(width):
                value = np.float32(copies[b, views[begin + k, 0]] - copies[b, views[begin + k, 1]])
                seen[start + k] = value
                state[b, begin + k] = value
        begin = ends[i]
