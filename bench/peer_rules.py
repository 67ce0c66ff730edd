"""The arithmetic of the game in which every peer of ``bench.peers`` is measured; NumPy alone, for any environment.

Four agents; each sees float32 (B, 32), does float32 (B, 8) in [-1, 1], and decides tanh(observation @ weights).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

AGENTS, WIDTH, ACTIONS = 4, 32, 8
Floats = NDArray[np.float32]


def start(copies: int) -> Floats:
    """What agents see first, float32 (4, B, 32)."""
    return np.random.default_rng(0).normal(size=(AGENTS, copies, WIDTH)).astype(np.float32)


def dynamics(observations: Floats, actions: Floats) -> Floats:
    """What agents see next, from what they saw and did: float32 (..., 32) and (..., 8) to (..., 32)."""
    following: Floats = observations * np.float32(0.9)
    following[..., :ACTIONS] += actions * np.float32(0.1)
    return following


def rewards(actions: Floats) -> NDArray[np.float64]:
    """The mean of each action: float32 (..., 8) to float64 (...)."""
    earned: NDArray[np.float64] = actions.mean(axis=-1, dtype=np.float64)
    return earned


def weights(agent: int) -> Floats:
    """An agent's policy, float32 (32, 8)."""
    return np.random.default_rng(agent).normal(0.0, 0.3, (WIDTH, ACTIONS)).astype(np.float32)


def decide(observation: Floats, own: Floats) -> Floats:
    """One agent's actions."""
    actions: Floats = np.tanh(observation @ own)
    return actions


def measure_on_request(step: Callable[[], None], copies: int) -> None:
    """For every line of standard input, a number of seconds, step for so long and print the steps per second."""
    for _ in range(20):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        began = time.perf_counter()
        until, steps = began + float(line), 0
        while time.perf_counter() < until:
            step()
            steps += 1
        print(json.dumps(steps * copies / (time.perf_counter() - began)), flush=True)
