"""Policies that are written, not learned, for two particle games of mpe2: a ladder to hold learned ones against.

Each reads its own observation only. Actions are Box(0, 1, (5,)) or Discrete(5): nothing, left, right, down, up.

=====================  ==================================================================================
``particle_noop``      any particle game: never moves
``particle_expert``    simple_spread: landmarks are shared out anew in each step, at the least sum of squares
``particle_greedy``    simple_adversary, good agents: to the goal
``particle_split``     good agents: landmarks shared out as by the expert, so that the goal does not show
``particle_decoy``     good agents: who is nearest to the goal goes there, the others to other landmarks
``particle_guess``     the adversary: a landmark drawn at the start
``particle_midpoint``  the adversary: the mean of all landmarks
``particle_follow``    the adversary: the landmark of that pair of a good agent and a landmark which is closest
=====================  ==================================================================================
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agent_services.policies.steering import (
    Floats,
    actuator,
    count_landmarks,
    forces_of,
    own_landmark,
    picked,
    points,
    squares,
    steer,
)
from agora.agents.policy import Array, Batch, Chosen, Decide, Decision, Spaces

GAINED, KEPT = 0.5, 0.75
"""mpe2's physics: velocity that a full force adds in a step, and the share of the old one that stays."""
SPEED: Final = 8
"""Bytes of a velocity."""


class View(NamedTuple):
    """What an agent of simple_adversary sees, relative to itself: goal (n, 2 or 0), landmarks and others (n, N, 2)."""

    goal: Floats
    landmarks: Floats
    others: Floats


@dataclass(frozen=True)
class Noop:
    """Stays where it is."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Zero forces."""
        act = actuator(spaces)
        return lambda batch: Decision([Chosen(act(np.zeros((batch.rows, 2), np.float32)))])


@dataclass(frozen=True)
class Expert:
    """simple_spread: each agent to a landmark of its own."""

    memory_bytes = 0

    def bind(self, spaces: Spaces) -> Decide:
        """For as many agents as the observation shows: own velocity and position, landmarks, others, and silence."""
        act, count = actuator(spaces), count_landmarks(spaces, 6, 0, "simple_spread")

        def decide(batch: Batch) -> Decision:
            seen = batch.observation[0]
            landmarks, others = points(seen, 4, count), points(seen, 4 + 2 * count, count - 1)
            return Decision([Chosen(act(steer(own_landmark(landmarks, others), seen[:, :2])))])

        return decide


@dataclass(frozen=True)
class _Aiming(ABC):
    """An agent of simple_adversary. It sees no velocity and remembers its own, as nothing else moves it."""

    memory_bytes = SPEED
    goal_width: ClassVar[int]

    @abstractmethod
    def aim(self, view: View) -> Floats:
        """Where to go, relative to oneself, (n, 2)."""

    def bind(self, spaces: Spaces) -> Decide:
        """For as many agents as the observation shows."""
        act, count = actuator(spaces), _landmarks(spaces, self.goal_width)

        def decide(batch: Batch) -> Decision:
            return _fly(self.aim(_view(batch.observation[0], self.goal_width, count)), batch.memory, act)

        return decide


@dataclass(frozen=True)
class _Good(_Aiming):
    """Sees the goal; the first of the others is the adversary."""

    goal_width = 2


@dataclass(frozen=True)
class _Adversary(_Aiming):
    """Does not see the goal; all others are good agents."""

    goal_width = 0


@dataclass(frozen=True)
class Greedy(_Good):
    """To the goal."""

    def aim(self, view: View) -> Floats:
        """The goal."""
        return view.goal


@dataclass(frozen=True)
class Split(_Good):
    """Good agents cover all landmarks."""

    def aim(self, view: View) -> Floats:
        """One's own landmark."""
        return own_landmark(view.landmarks, view.others[:, 1:])


@dataclass(frozen=True)
class Decoy(_Good):
    """One at the goal, the others elsewhere."""

    def aim(self, view: View) -> Floats:
        """The goal if no other good agent is nearer to it, else the nearest landmark that is not the goal."""
        is_goal = squares(view.landmarks - view.goal[:, None]).argmin(axis=1)
        away = squares(view.landmarks)
        away[np.arange(len(away)), is_goal] = np.inf
        other = picked(view.landmarks, away.argmin(axis=1))
        mates = squares(view.others[:, 1:] - view.goal[:, None])
        nearest = squares(view.goal) <= mates.min(axis=1, initial=np.inf)
        return np.where(nearest[:, None], view.goal, other)


@dataclass(frozen=True)
class Midpoint(_Adversary):
    """Between the landmarks."""

    def aim(self, view: View) -> Floats:
        """The landmarks' mean."""
        return np.asarray(view.landmarks.mean(axis=1))


@dataclass(frozen=True)
class Follow(_Adversary):
    """Wherever a good agent is about to arrive."""

    def aim(self, view: View) -> Floats:
        """The landmark with the smallest distance to any good agent."""
        apart = squares(view.landmarks[:, :, None] - view.others[:, None])
        return picked(view.landmarks, apart.min(axis=2).argmin(axis=1))


@dataclass(frozen=True)
class Guess:
    """The adversary takes a landmark by chance and keeps to it; it remembers its velocity, and which it took."""

    memory_bytes = SPEED + 4

    def bind(self, spaces: Spaces) -> Decide:
        """For as many landmarks as the observation shows."""
        act, count = actuator(spaces), _landmarks(spaces, 0)

        def decide(batch: Batch) -> Decision:
            landmarks = _view(batch.observation[0], 0, count).landmarks
            before = batch.memory[:, SPEED:].copy().view(np.float32)
            drawn = np.floor(batch.draws.uniform(0, 1) * np.float32(count)) + np.float32(1.0)
            taken = np.where(before > 0.0, before, drawn)  # zero: the episode begins
            decided = _fly(picked(landmarks, taken[:, 0].astype(np.intp) - 1), batch.memory[:, :SPEED], act)
            return Decision(decided.heads, np.concatenate([decided.memory, taken.view(np.uint8)], axis=1))

        return decide


def _landmarks(spaces: Spaces, goal_width: int) -> int:
    """How many there are; see ``count_landmarks``."""
    return count_landmarks(spaces, 4, goal_width, f"simple_adversary ({'good agents' if goal_width else 'adversary'})")


def _view(seen: Array, goal_width: int, count: int) -> View:
    """An observation's parts."""
    second = goal_width + 2 * count
    return View(seen[:, :goal_width], points(seen, goal_width, count), points(seen, second, count))


def _fly(target: Floats, memory: NDArray[np.uint8], act: Callable[[Floats], Array]) -> Decision:
    """Steer by the velocity that is remembered, and remember the next one."""
    velocity = np.ascontiguousarray(memory).view(np.float32)
    action = act(steer(target, velocity))
    following = KEPT * velocity + GAINED * forces_of(action)
    return Decision([Chosen(action)], following.astype(np.float32).view(np.uint8))


Script = Noop | Expert | Greedy | Split | Decoy | Guess | Midpoint | Follow
SCRIPTS: Final[Mapping[str, type[Script]]] = {
    "particle_noop": Noop,
    "particle_expert": Expert,
    "particle_greedy": Greedy,
    "particle_split": Split,
    "particle_decoy": Decoy,
    "particle_guess": Guess,
    "particle_midpoint": Midpoint,
    "particle_follow": Follow,
}
"""Name → class, for the table of all scripts."""
