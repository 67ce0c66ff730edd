"""The table of algorithms: name to learner."""

from typing import Any, Final

from trainer.spec import GameSpec
from trainer.stage.base import Learner
from trainer.stage.config import configured
from trainer.stage.ddpg import DdpgLearner
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
        ValueError: no such algorithm, preset or field, a value out of range, or a game that it cannot learn.
    """
    return ALGORITHMS[algorithm](configured(algorithm, preset, overrides), spec, seed)
