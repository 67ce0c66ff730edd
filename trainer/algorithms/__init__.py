"""The table of learners that maximise return: name to class. One that looks for equilibria is in ``trainer.stage``."""

from typing import Any, Final

from trainer.algorithms.base import Learner
from trainer.algorithms.game import Game
from trainer.algorithms.iddpg import Iddpg
from trainer.algorithms.idqn import Idqn
from trainer.algorithms.maddpg import Maddpg
from trainer.algorithms.mappo import Ippo, Mappo
from trainer.algorithms.matd3 import Matd3
from trainer.algorithms.qmix import Qmix
from trainer.algorithms.vdn import Vdn
from trainer.spec import GameSpec

ALGORITHMS: Final[dict[str, type[Learner]]] = {
    "iddpg": Iddpg,
    "idqn": Idqn,
    "ippo": Ippo,
    "maddpg": Maddpg,
    "mappo": Mappo,
    "matd3": Matd3,
    "qmix": Qmix,
    "vdn": Vdn,
}


def make_learner(algorithm: str, overrides: dict[str, Any], spec: GameSpec, seed: int) -> Learner:
    """A fresh learner.

    Args:
        algorithm: a key of ``ALGORITHMS``.
        overrides: of its configuration, by field.
        spec: the game.
        seed: of its weights and draws.

    Raises:
        ValueError: no such algorithm or field, a value out of range, or a game that it cannot learn; the message then
            names the learners that can.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(f"algorithm: expected one of {', '.join(sorted(ALGORITHMS))}, got {algorithm!r}")
    game = Game.of(spec)
    chosen = ALGORITHMS[algorithm]
    reason = chosen.misfit(game)
    if reason is not None:
        raise ValueError(f"{algorithm} cannot learn {spec.name}: {reason}; learners that fit: {fitting(game)}")
    config = chosen.Config(**overrides)
    return chosen(config, game, seed)  # type: ignore[call-arg]  # a protocol says nothing of construction


def fitting(game: Game) -> str:
    """Names of the learners that can learn a game, in words."""
    return ", ".join(name for name, learner in ALGORITHMS.items() if learner.misfit(game) is None) or "none"
