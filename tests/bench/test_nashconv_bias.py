"""Estimates of critics that saw none of the truth, beside those that were refitted on it."""

import math

import numpy as np
import pytest
import torch

from bench import nashconv_bias as bias
from bench.report import Verdict
from env_server.environments.charging import Charging, ChargingConfig
from trainer.spec import GameSpec
from trainer.stage import make_learner

QUICK = {"warmup": 64, "refit_updates": 5, "check_refits": 2}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small products only wait for each other
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def game():
    return Charging(ChargingConfig(scenario="brief", episode_rounds=4), 16)


def made(game, overrides):
    agents = game.agents
    seen, done = (tuple(s[a] for a in agents) for s in (game.observation_spaces, game.action_spaces))
    spec = GameSpec("charging", "{}", agents, seen, done, game.state_space, True, {})
    return make_learner("maddpg", "default", overrides, spec, 1)


def same(ours, theirs):
    if isinstance(ours, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    return torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs


def test_the_run_goes_on_as_without_it_and_the_same_moment_is_judged(game):
    draws = np.random.default_rng(0)
    learner = made(game, QUICK)
    learner.add(bias._block(game, learner, 1, 0, 0.3, draws))
    segment = bias._block(game, learner, 1, 1, 0.0, draws)
    before = learner.state_dict()
    plain = bias._without_refits(learner, made(game, QUICK | bias.UNFITTED), segment, game)
    assert same(learner.state_dict(), before)
    refitted, _ = bias.check_equilibrium(learner, segment, game.payoff, 20)
    assert not same(learner.state_dict(), before)  # which is what a check of the learner itself does
    assert np.array_equal(plain.actions, refitted.actions) and np.array_equal(plain.payoffs, refitted.payoffs)
    assert plain.estimated != refitted.estimated and plain.nash_conv == pytest.approx(refitted.nash_conv, rel=1e-6)


def test_an_estimate_of_nothing_is_infinitely_far_from_something():
    ratio, quantiles, share = bias._spread("some", [1.0, math.inf, 1.2, 0.9])
    assert ratio.verdict == Verdict.FALLS_SHORT and share.values == [0.75]
    assert quantiles.values == [0.9, 0.9, 1.0, 1.2, math.inf]


def test_of_no_estimates_nothing_is_said():
    assert bias._spread("some", []) == []
