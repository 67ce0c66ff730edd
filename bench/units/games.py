"""Normal-form games with one right answer each, learned by every learner from the real environment in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bench.in_process_training import environment_of, play, spec_of, train
from env_server.environments.base import PayoffEnvironment
from trainer.pure import NOT_FOUND, Verdict, pure_verdict

COPIES, STEPS = 128, 9_600
DETERMINISTIC: Final[dict[str, Any]] = {
    "actor_hidden": [32], "critic_hidden": [32], "actor_rate": 0.01, "critic_rate": 0.01, "warmup": 512,
    "steps_per_update": 64, "batch_size": 128, "capacity": STEPS,
}  # fmt: skip
IDDPG: Final = DETERMINISTIC | {"actor_rate": 0.003, "warmup": 2_048}
VALUE_BASED: Final[dict[str, Any]] = {
    "hidden": [32], "rate": 0.01, "warmup": 512, "steps_per_update": 64, "batch_size": 128, "capacity": STEPS,
    "epsilon_final": 1.0, "huber": 100.0, "share": False,
}  # fmt: skip
ON_POLICY: Final[dict[str, Any]] = {
    "actor_hidden": [32], "critic_hidden": [32], "actor_rate": 0.01, "critic_rate": 0.01, "epochs": 4,
    "minibatches": 1, "share": False,
}  # fmt: skip
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "iddpg": IDDPG, "maddpg": DETERMINISTIC, "matd3": DETERMINISTIC,
    "idqn": VALUE_BASED, "qmix": VALUE_BASED, "vdn": VALUE_BASED,
    "ippo": ON_POLICY, "mappo": ON_POLICY,
}  # fmt: skip
"""Small networks and large steps, for games of a single decision. Learners of values explore uniformly throughout, so
that what their choices are worth to them is known: the mean over all that the others can do. Huber's loss finds it only
while errors stay below its δ, so δ is larger than any payoff. IDDPG's critics see a choice of their own agent alone, so
its actors wait until the critics know that mean, and then move slowly."""
TEAM: Final = ("qmix", "vdn")
"""Learners of the sum of all agents' rewards."""


@dataclass(frozen=True)
class Puzzle:
    """A game, and what is right.

    Attributes:
        name: of the game.
        config: of the environment.
        selfish: the joint action that agents who each want their own reward must end at.
        together: the one that is best for their sum.
    """

    name: str
    config: Mapping[str, Any]
    selfish: tuple[int, ...]
    together: tuple[int, ...]


def _commons() -> list[Any]:
    """Payoffs of three agents with 2, 3 and 2 choices: what a choice gives its agent, less what it costs each other."""
    gives, costs = [[0, 2], [0, 3, 1], [2, 0]], [[0, 2], [0, 2, 0], [0, 0]]

    def pay(agent: int, joint: tuple[int, ...]) -> float:
        return gives[agent][joint[agent]] - sum(costs[i][joint[i]] for i in range(3) if i != agent)

    return [[[[pay(i, (a, b, c)) for c in range(2)] for b in range(3)] for a in range(2)] for i in range(3)]


PUZZLES: Final = (
    Puzzle("prisoners' dilemma", {"game": "prisoners_dilemma"}, (1, 1), (0, 0)),
    Puzzle("coordination, 2 against 1", {"game": "coordination"}, (0, 0), (0, 0)),
    Puzzle("commons of three", {"game": "custom", "payoffs": _commons()}, (1, 1, 0), (0, 2, 0)),
)
MIXED_ONLY: Final = ("matching_pennies", "rock_paper_scissors")


def learned(algorithm: str, config: Mapping[str, Any], seed: int) -> Verdict:
    """Train, and judge what the policies do greedily by the environment's own payoff."""
    game = environment_of("matrix", json.dumps(config), COPIES)
    assert isinstance(game, PayoffEnvironment)
    learner, _ = train(algorithm, game, STEPS, seed=seed, overrides=dict(SETTINGS[algorithm]), episodes=COPIES)
    joint = play(game, learner, None, 0).actions[0].argmax(axis=-1)
    if not (joint == joint[0]).all():
        raise RuntimeError(f"{algorithm}: expected the same greedy choices in all copies, got {joint}")
    return pure_verdict(game.payoff, spec_of(game, "matrix"), joint[0])


def solved(algorithm: str, puzzle: Puzzle, seeds: Sequence[int]) -> list[float]:
    """1 for every seed that ended at the right joint action, else 0."""
    right = puzzle.together if algorithm in TEAM else puzzle.selfish
    return [float(tuple(learned(algorithm, puzzle.config, seed).actions.tolist()) == right) for seed in seeds]


def admitted(algorithm: str, game: str, seeds: Sequence[int]) -> list[float]:
    """1 for every seed whose verdict on a game without a pure equilibrium says just that, else 0."""
    verdicts = [str(learned(algorithm, {"game": game}, seed)) for seed in seeds]
    return [float(said.startswith(NOT_FOUND) and said.endswith("the game has none")) for said in verdicts]
