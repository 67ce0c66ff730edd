"""Games of several decisions with one right course each, learned by every learner.

One and the same game is played with two discounts, and what is right for one agent turns with it. Who does not look
ahead, or bootstraps from targets that never move, or takes another discount than it was told, fails one of the two.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from bench.in_process_training import play, train
from bench.units.games import SETTINGS, TEAM
from bench.units.saving import SAVE, SPEND, Saving, SavingConfig

COPIES, STEPS = 128, 28_800
PAYS: Final = ((2.0, 4.0, 16.0), (8.0, 4.0, 16.0))
"""What spending pays after 0, 1 and 2 decisions to save: the second agent should never save."""
COSTS: Final = 0.5
UNHURRIED: Final[dict[str, Any]] = {
    "averaging": 0.1, "actor_rate": 0.001, "warmup": 9_600, "steps_per_update": 32, "logit_limit": 0.5,
    "logit_penalty": 0.3,
}  # fmt: skip
"""Actors that wait for critics that look ahead, as those follow their targets: whoever spends before never learns what
saving is worth."""
DETERMINISTIC: Final = ("iddpg", "maddpg", "matd3")
Course = tuple[int, ...]


@dataclass(frozen=True)
class Chain:
    """A discount, and what is right with it: of each agent the decisions, one after the other."""

    discount: float

    def best(self, algorithm: str) -> tuple[Course, ...]:
        """Of all courses those that pay most: agents' own payoffs, or the sum of all, for learners of that."""
        others = COSTS * (len(PAYS) - 1) if algorithm in TEAM else 0.0
        return tuple(max(COURSES, key=lambda course: worth(course, pays, others, self.discount)) for pays in PAYS)


COURSES: Final = tuple(itertools.product((SPEND, SAVE), repeat=len(PAYS[0])))
CHAINS: Final = (Chain(0.9), Chain(0.3))


def worth(course: Course, pays: Sequence[float], costs: float, discount: float) -> float:
    """What a course comes to, discounted, if every spending costs so much."""
    total, saved = 0.0, 0
    for at, choice in enumerate(course):
        total += discount**at * (pays[saved] - costs) if choice == SPEND else 0.0
        saved = 0 if choice == SPEND else saved + 1
    return total


def settings(algorithm: str) -> dict[str, Any]:
    """Of a learner, but for the discount: as for games of one decision, with a replay for all that is played here."""
    found = dict(SETTINGS[algorithm])
    if "capacity" in found:
        found["capacity"] = STEPS
    return found | UNHURRIED if algorithm in DETERMINISTIC else found


def courses(algorithm: str, chain: Chain, seed: int, changes: Mapping[str, Any] | None = None) -> tuple[Course, ...]:
    """Train, and what each agent then does greedily.

    Args:
        algorithm: the learner.
        chain: the game.
        seed: of everything.
        changes: of the learner's settings, as to spoil it.

    Raises:
        RuntimeError: greedy choices differ from copy to copy.
    """
    game = Saving(SavingConfig(pays=PAYS, costs=COSTS), COPIES)
    overrides = {**settings(algorithm), "discount": chain.discount, **(changes or {})}
    learner, _ = train(algorithm, game, STEPS, seed=seed, overrides=overrides, episodes=COPIES)
    chosen = play(game, learner, None, 0).actions.argmax(axis=-1)
    if not (chosen == chosen[:, :1]).all():
        raise RuntimeError(f"{algorithm}: expected the same greedy choices in all copies")
    return tuple(tuple(own) for own in np.asarray(chosen[:, 0]).T.tolist())


def followed(algorithm: str, chain: Chain, seeds: Sequence[int]) -> list[float]:
    """1 for every seed that ended at the right courses, else 0."""
    return [float(courses(algorithm, chain, seed) == chain.best(algorithm)) for seed in seeds]
