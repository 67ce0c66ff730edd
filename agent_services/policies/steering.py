"""How written policies of particle games read what they see and move where they want to."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agora.agents.policy import Array, Spaces
from agora.errors import Refused
from agora.spaces import Leaf
from agora.v1 import policy_pb2

Floats = NDArray[np.float32]

MOVES: Final = 5
GAIN, DAMPING = 12.0, 2.5
"""Force per distance and per velocity: about the fastest approach of a particle that does not swing."""
IDLE: Final = 0.5
"""Discrete actions: below this share of a full force in both directions, nothing is done."""
MOST_SHARED: Final = 6
"""Landmarks are shared out by trying all orders, of which there are 720 then."""


def steer(target: Floats, velocity: Floats) -> Floats:
    """Forces (n, 2) in [-1, 1] towards a point, damped."""
    return np.clip(GAIN * target - DAMPING * velocity, -1.0, 1.0)


def actuator(spaces: Spaces) -> Callable[[Floats], Array]:
    """From forces (n, 2) to actions.

    Raises:
        Refused: the action is not a particle's.
    """
    leaf = spaces.action[0]
    pushes = leaf.shape == (MOVES,) and leaf.dtype.kind == "f" and np.all(leaf.low == 0) and np.all(leaf.high == 1)
    chooses = leaf.shape == () and leaf.choices == (MOVES,) and leaf.low == 0
    if len(spaces.action) != 1 or not (pushes or chooses):
        expected, got = f"Box(0, 1, ({MOVES},)) or Discrete({MOVES})", _shown(spaces.action)
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "action_space", expected, got)
    return _push if pushes else lambda forces: _choose(forces).astype(leaf.dtype)


def _push(forces: Floats) -> Floats:
    """Continuous actions: what pushes left, right, down and up."""
    action = np.zeros((len(forces), MOVES), np.float32)
    action[:, 1::2], action[:, 2::2] = np.maximum(-forces, 0.0), np.maximum(forces, 0.0)
    return action


def _choose(forces: Floats) -> NDArray[np.intp]:
    """Discrete actions: a full force along the axis that needs it most."""
    along = np.abs(forces).argmax(axis=1)
    strongest = np.take_along_axis(forces, along[:, None], axis=1)[:, 0]
    return np.where(np.abs(strongest) < IDLE, 0, 1 + 2 * along + (strongest > 0))


def forces_of(action: Array) -> Floats:
    """What an action does, (n, 2)."""
    full = np.eye(MOVES, dtype=np.float32)[action] if action.ndim == 1 else action
    return full[:, 2::2] - full[:, 1::2]


def count_landmarks(spaces: Spaces, each: int, besides: int, task: str) -> int:
    """How many landmarks an observation of ``each`` numbers per landmark, and ``besides`` others, shows.

    Raises:
        Refused: it is none of that width, or of more than can be shared out.
    """
    width = spaces.observation[0].shape[0] if [len(leaf.shape) for leaf in spaces.observation] == [1] else 0
    count, rest = divmod(width - besides, each)
    if rest or not 1 <= count <= MOST_SHARED:
        expected = f"{besides} + {each} N numbers, as {task} shows of N landmarks, N from 1 to {MOST_SHARED}"
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "observation_space", expected, _shown(spaces.observation))
    return count


def _shown(leaves: tuple[Leaf, ...]) -> str:
    return str([(leaf.path, list(leaf.shape), list(leaf.choices)) for leaf in leaves])


def points(seen: Array, start: int, count: int) -> Floats:
    """Points (n, count, 2) out of an observation."""
    return seen[:, start : start + 2 * count].reshape(len(seen), count, 2)


def squares(vectors: Floats) -> Floats:
    """Squared lengths of vectors (..., 2)."""
    return np.asarray(np.square(vectors).sum(axis=-1))


def picked(choices: Floats, index: NDArray[np.intp]) -> Floats:
    """One of points (n, N, 2) per row, (n, 2)."""
    return choices[np.arange(len(choices)), index]


def own_landmark(landmarks: Floats, mates: Floats) -> Floats:
    """The landmark (n, 2) that is one's own when the team shares them out at the least sum of squared distances."""
    orders = np.array(list(itertools.permutations(range(landmarks.shape[1]))))
    team = np.concatenate([np.zeros((len(mates), 1, 2), np.float32), mates], axis=1)
    costs = squares(landmarks[:, None] - team[:, :, None])
    sums = costs[:, np.arange(orders.shape[1]), orders].sum(axis=2)
    return picked(landmarks, orders[sums.argmin(axis=1), 0])
