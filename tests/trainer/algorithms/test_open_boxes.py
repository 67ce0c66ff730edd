"""Boxes that are open above, below or on both sides: who can learn them does, and who cannot says who can."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.trainer.algorithms.test_mappo import SEEN, learner_of, recorded, solved, spec
from trainer.algorithms import ALGORITHMS, make_learner
from trainer.algorithms.game import Game
from trainer.algorithms.losses.ppo import clipped_gaussian_log_prob
from trainer.spec import GameSpec
from trainer.stage import make_learner as make_stage_learner

F32 = np.float32
OPEN = {
    "open": spaces.Box(-np.inf, np.inf, (2,), F32),
    "open above": spaces.Box(0.0, np.inf, (2,), F32),
    "open below": spaces.Box(-np.inf, 0.0, (2,), F32),
    "of all kinds": spaces.Box(np.array([0, -np.inf, -np.inf, -1], F32), np.array([np.inf, 0, np.inf, 1], F32)),
    "open, one number fixed": spaces.Box(np.array([1, -np.inf], F32), np.array([1, np.inf], F32)),
    "wider than float32": spaces.Box(-2e38, 2e38, (2,), F32),
    "open doubles": spaces.Box(-np.inf, np.inf, (2,), np.float64),
    "bounded doubles": spaces.Box(-1e300, 1e300, (2,), np.float64),
}
BOXES = pytest.mark.parametrize("box", OPEN.values(), ids=OPEN)


def parameters(learner):
    return [array for actor in learner.actors() for layer in (*actor.layers, (actor.log_std,)) for array in layer]


@BOXES
@pytest.mark.parametrize("name", sorted(ALGORITHMS))
def test_every_learner_trains_in_them_or_names_those_that_do(name, box):
    game = spec(box, box)
    if name not in ("ippo", "mappo"):
        with pytest.raises(ValueError, match=rf"{name} cannot learn test: .*; learners that fit: ippo, mappo"):
            make_learner(name, {}, game, 0)
        return
    learner = learner_of(name, game)
    for seed in range(3):
        before = parameters(learner)[0].copy()
        learner.add(replace(recorded(game, seed), version=(0, learner.updates)))
        losses = learner.update()
        assert np.isfinite(list(losses.values())).all()
        assert not np.array_equal(parameters(learner)[0], before)
    assert all(np.isfinite(array).all() for array in parameters(learner))


@BOXES
@pytest.mark.parametrize("name", ["maddpg", "mean_field_ddpg"])
def test_searches_for_equilibria_refuse_them_and_name_those_that_learn_them(name, box):
    game = GameSpec("test", "{}", ("a", "b"), (SEEN, SEEN), (box, box), SEEN, True, {})
    words = rf"{name} cannot learn test: .*finite bounds.*; learners that fit, with training.goal return: ippo, mappo"
    with pytest.raises(ValueError, match=words):
        make_stage_learner(name, "default", {}, game, 0)


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize(
    ("box", "goal", "best"),
    [
        (spaces.Box(-np.inf, np.inf, (1,), F32), 1.5, 1.5),
        (spaces.Box(0.0, np.inf, (1,), F32), 1.0, 1.0),
        (spaces.Box(0.0, np.inf, (1,), F32), -1.0, 0.0),
        (spaces.Box(-np.inf, 0.0, (1,), F32), -1.0, -1.0),
        (spaces.Box(-np.inf, 0.0, (1,), F32), 1.0, 0.0),
    ],
)
def test_the_best_action_is_found_also_on_the_one_bound(name, box, goal, best):
    """Both lose the square of the distance from the goal, so the best action is the goal, or the bound before it."""
    learner = learner_of(name, spec(box, box))
    found = solved(learner, lambda actions: -np.square(actions[..., 0] - goal), 60)[:, 0]
    np.testing.assert_allclose(found, best, atol=0.1)


@pytest.mark.parametrize("most", [float(np.finfo(F32).max), np.inf])
@pytest.mark.parametrize("sides", [(True, True), (True, False), (False, True)])
def test_an_open_bound_adds_nothing_to_a_gradient(sides, most):
    """Between bounds, d/dμ = (x - μ) / σ² and d/dlog σ = ((x - μ) / σ)² - 1, wherever the bounds are."""
    low, high = (torch.tensor(sign * (most if side else 9.0)) for sign, side in zip((-1, 1), sides, strict=True))
    x = torch.tensor([-3.0, 0.5, 8.0])
    mean, log_std = torch.tensor([0.3, -1.0, 2.0]).requires_grad_(), torch.tensor([0.2, -0.5, 1.0]).requires_grad_()
    clipped_gaussian_log_prob(x, mean, log_std, low, high).sum().backward()
    share = (x - mean.detach()) / log_std.detach().exp()
    torch.testing.assert_close(mean.grad, share / log_std.detach().exp())
    torch.testing.assert_close(log_std.grad, share.square() - 1.0)


def test_bounds_are_numbers_that_float32_holds():
    wide = Game.of(spec(OPEN["open doubles"], spaces.Box(-1.0, 3.0, (2,), np.float64)))
    assert np.isfinite([wide.low, wide.high]).all()
    assert (wide.low[1].tolist(), wide.high[1].tolist(), wide.bounded) == ([-1.0, -1.0], [3.0, 3.0], False)
