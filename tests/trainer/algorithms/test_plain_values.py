"""IDQN, VDN and QMIX learn, number by number, what the equations say, one row and one agent at a time.

In a game of unequal agents in which parts end, are cut off and are not acted in, what is legal changes with every step,
the future counts, and targets are unlike what they follow.
"""

import numpy as np
import pytest
from gymnasium import spaces

from tests.support.batches import Drawn, mixed_experience
from tests.support.plain_networks import close, shaken
from tests.support.plain_values import PlainValues
from trainer.algorithms import make_learner
from trainer.algorithms.game import Game
from trainer.spec import GameSpec

SETTINGS = {
    "warmup": 1,
    "batch_size": 16,
    "steps_per_update": 16,
    "discount": 0.8,
    "averaging": 0.3,
    "reward_scale": 2.0,
    "hidden": (6,),
    "activation": "tanh",
    "rate": 0.03,
    "rate_steps": 100,
    "huber": 1.5,
}


def box(width):
    return spaces.Box(-9.0, 9.0, (width,), np.float32)


def spec_of(likes):
    choices = (3, 3, 2) if likes else (3, 2, 4)
    actions, seen = tuple(map(spaces.Discrete, choices)), (box(3), box(3), box(2))
    return GameSpec("game", "", ("a", "b", "c"), seen, actions, box(4), False, {})


@pytest.mark.parametrize("share", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("algorithm", ["idqn", "vdn", "qmix"])
def test_a_learner_takes_the_plain_steps(algorithm, share, monkeypatch):
    spec = spec_of(share)
    mixing = {"mixing_width": 5, "mixing_scale": 3.0} if algorithm == "qmix" else {}
    learner = make_learner(algorithm, SETTINGS | mixing | {"share": share}, spec, 3)
    begun = learner.state_dict()
    begun = shaken(begun, [name for name in begun if name.startswith(("networks_", "target_"))])
    learner.load_state_dict(begun)
    game, drawn = Game.of(spec), Drawn(monkeypatch)
    plain = PlainValues(begun, learner.config, game, [0, 0, 1] if share else [0, 1, 2], algorithm)
    for number in range(2):
        learner.add(mixed_experience(game, steps=2, seed=number))
        losses = learner.update()
        assert losses == pytest.approx(plain.update(drawn.pop()[0], 1 - 16 * (number + 1) / 100), rel=1e-4)
        now = learner.state_dict()
        for k, (networks, target) in enumerate(zip(plain.networks, plain.targets, strict=True)):
            close(networks, now[f"networks_{k}"], f"networks {k}")
            close(target, now[f"target_{k}"], f"target {k}")
