"""MAPPO and IPPO learn, number by number, what the equations say, one agent and one decision at a time.

In a game in which parts end, are cut off and are not acted in, with a discount, and returns far from zero.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.support.batches import mixed_experience
from tests.support.plain_networks import close, shaken
from tests.support.plain_ppo import PlainPpo
from trainer.algorithms import make_learner
from trainer.algorithms.game import Game
from trainer.spec import GameSpec

SETTINGS = {
    "discount": 0.7,
    "gae_lambda": 0.8,
    "epochs": 2,
    "minibatches": 3,
    "clip": 0.05,
    "value_clip": 0.1,
    "huber": 0.6,
    "entropy": 0.05,
    "max_norm": 0.4,
    "return_memory": 0.6,
    "initial_std": 0.4,
    "actor_hidden": (5,),
    "critic_hidden": (6, 5),
    "activation": "silu",
    "actor_rate": 0.02,
    "critic_rate": 0.03,
    "rate_steps": 150,
}


def box(*shape, low=-9.0, high=9.0):
    return spaces.Box(np.float32(low), np.float32(high), shape, np.float32)


def spec_of(discrete):
    actions = [spaces.Discrete(3)] * 3 if discrete else [box(2, low=-1.0, high=3.0)] * 3
    return GameSpec("game", "", ("a", "b", "c"), (box(4), box(4), box(3)), tuple(actions), box(5), False, {})


def played(game, seed, version):
    """Some actions lie on their bounds, and rewards are about 30."""
    experience = mixed_experience(game, steps=5, copies=5, seed=seed)
    actions = experience.actions
    if not game.discrete:
        actions = np.clip(1.5 * actions - 0.5, game.low, game.high).astype(np.float32)
    return replace(experience, actions=actions, rewards=30 + 4 * experience.rewards, version=(0, version))


@pytest.mark.parametrize("discrete", [False, True], ids=["boxes", "choices"])
@pytest.mark.parametrize("share", [False, True], ids=["apart", "shared"])
@pytest.mark.parametrize("algorithm", ["mappo", "ippo"])
def test_a_learner_takes_the_plain_steps(algorithm, share, discrete):
    spec = spec_of(discrete)
    learner, game = make_learner(algorithm, SETTINGS | {"share": share}, spec, 3), Game.of(spec)
    begun = shaken(learner.state_dict(), ["actor", "critic"])
    learner.load_state_dict(begun)
    plain = PlainPpo(begun, learner.config, game, [0, 0, 1] if share else [0, 1, 2], central=algorithm == "mappo")
    for number, pace in enumerate((1.0, 1 - 50 / 150)):
        parts = [played(game, 10 + 2 * number + k, learner.updates) for k in range(2)]
        for part in parts:
            learner.add(part)
        losses, expected = learner.update(), plain.update(parts, pace)
        assert losses == pytest.approx(expected, rel=1e-3, abs=1e-4)
        now = learner.state_dict()
        close(plain.actor, now["actor"], "actor")
        close(plain.critic, now["critic"], "critic")
        for ours, theirs in zip(now["spread"].values(), plain.spread, strict=True):
            torch.testing.assert_close(ours.double(), theirs.detach(), atol=1e-4, rtol=1e-3)
    assert learner.updates == 12 and learner.experience == 100 and not learner.stale
