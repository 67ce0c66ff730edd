"""MADDPG, MATD3 and IDDPG learn, number by number, what the equations say, one agent at a time.

In a game in which parts end, are cut off and are not acted in, with a discount, and targets unlike what they follow.
"""

import numpy as np
import pytest
from gymnasium import spaces

from tests.support.batches import Drawn, mixed_experience
from tests.support.plain_ddpg import PlainDdpg
from tests.support.plain_networks import close, shaken
from trainer.algorithms import make_learner
from trainer.algorithms.game import Game
from trainer.spec import GameSpec

SETTINGS = {
    "warmup": 1,
    "batch_size": 24,
    "steps_per_update": 8,
    "discount": 0.7,
    "averaging": 0.3,
    "reward_scale": 2.0,
    "actor_hidden": (5,),
    "critic_hidden": (6, 5),
    "activation": "silu",
    "actor_rate": 0.02,
    "critic_rate": 0.03,
    "logit_limit": 0.5,
    "logit_penalty": 0.3,
    "relaxation": 0.8,
    "rate_steps": 64,
}
KINDS = {
    "maddpg": {},
    "matd3": {"twins": 2, "delay": 2},
    "iddpg": {"joint": False},
}


def box(*shape, low=-9.0, high=9.0):
    return spaces.Box(np.float32(low), np.float32(high), shape, np.float32)


def spec_of(discrete):
    actions = [spaces.Discrete(3)] * 3 if discrete else [box(2, low=-1.0, high=3.0)] * 3
    agents = ("a", "b", "c")
    return GameSpec("game", "", agents, (box(4), box(4), box(3)), tuple(actions), box(5), False, {})


def networks_of(state):
    return [name for name in state if "actor" in name or "critic" in name if not name.endswith("adam")]


@pytest.mark.parametrize("discrete", [False, True], ids=["boxes", "choices"])
@pytest.mark.parametrize("share", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("algorithm", KINDS)
def test_a_learner_takes_the_plain_steps(algorithm, share, discrete, monkeypatch):
    spec = spec_of(discrete)
    extra = {"target_noise": 0.2, "target_clip": 0.15} if algorithm == "matd3" else {}
    state = {"state": True} if algorithm != "iddpg" else {}
    learner = make_learner(algorithm, SETTINGS | extra | state | {"share": share}, spec, 3)
    begun = learner.state_dict()
    begun = shaken(begun, networks_of(begun))
    learner.load_state_dict(begun)
    game, drawn = Game.of(spec), Drawn(monkeypatch)
    plain = PlainDdpg(begun, learner.config, game, [0, 0, 1] if share else [0, 1, 2], **KINDS[algorithm])
    for number in range(4 if algorithm == "matd3" else 2):
        learner.add(mixed_experience(game, 2, 4, seed=number))
        losses = learner.update()
        expected = plain.update(*drawn.pop(), 1 - 8 * (number + 1) / 64)
        assert losses == pytest.approx(expected, rel=1e-4, abs=1e-5)
        now = learner.state_dict()
        close(plain.actor, now["actor"], "actor")
        close(plain.target_actor, now["target_actor"], "target actor")
        for k, (critic, target) in enumerate(zip(plain.critics, plain.targets, strict=True)):
            close(critic, now[f"critic_{k}"], f"critic {k}")
            close(target, now[f"target_critic_{k}"], f"target critic {k}")
