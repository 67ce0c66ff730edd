"""The table of algorithms: name to learner."""

from typing import Any, Final

from trainer.algorithms.base import Learner
from trainer.algorithms.config import configured
from trainer.algorithms.ddpg import DdpgLearner
from trainer.algorithms.maddpg import Maddpg
from trainer.algorithms.mean_field_ddpg import MeanFieldDdpg
from trainer.spec import GameSpec

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
        ValueError: no such algorithm, preset or field, a value out of range, or a game that it cannot learn.
    """
    return ALGORITHMS[algorithm](configured(algorithm, preset, overrides), spec, seed)
