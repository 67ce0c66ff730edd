"""The table of algorithms: name to learner."""

from typing import Any, Final

from trainer import algorithms
from trainer.algorithms.game import Game
from trainer.spec import GameSpec
from trainer.stage.base import Learner
from trainer.stage.config import configured
from trainer.stage.ddpg import DdpgLearner
from trainer.stage.layout import Layout
from trainer.stage.maddpg import Maddpg
from trainer.stage.mean_field_ddpg import MeanFieldDdpg

ALGORITHMS: Final[dict[str, type[DdpgLearner]]] = {"maddpg": Maddpg, "mean_field_ddpg": MeanFieldDdpg}


def make_learner(algorithm: str, preset: str, overrides: dict[str, Any], spec: GameSpec, seed: int) -> Learner:
    """A fresh learner.

    Args:
        algorithm: a key of ``ALGORITHMS``.
        preset: ``default`` or ``brief``.
        overrides: of the preset, by field of the configuration.
        spec: the game.
        seed: of its weights and draws.

    Raises:
        ValueError: no such algorithm, preset or field, a value out of range, or a game that it cannot learn;
            the message then names the learners that can, for return.
    """
    try:
        Layout.of(spec)
    except ValueError as error:
        fitting = f"learners that fit, with training.goal return: {algorithms.fitting(Game.of(spec))}"
        raise ValueError(f"{algorithm} cannot learn {spec.name}: {error}; {fitting}") from error
    return ALGORITHMS[algorithm](configured(algorithm, preset, overrides), spec, seed)
