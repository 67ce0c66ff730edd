"""What MAPPO and IPPO make of experience, by hand: networks that say constants, and losses by the papers' formulas."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.trainer.algorithms.test_mappo import learner_of, recorded, spec
from trainer.algorithms.trajectories import Trajectories

PAIR = spec(spaces.Discrete(2), spaces.Discrete(2))
BOX = spaces.Box(0.0, 1.0, (1,), np.float32)
MEAN, STD = 100.0, 7.0
GAMMA, LAM = 0.9, 0.8
ONE_STEP = {"epochs": 1, "minibatches": 1}


def told(learner, said=0.0, outputs=0.0):
    """Critics that answer ``said``, in units of returns about ``MEAN`` by ``STD``; actors that answer ``outputs``."""
    state = learner.state_dict()
    for name, answer in (("critic", said), ("actor", outputs)):
        state[name] = {number: torch.zeros_like(values) for number, values in state[name].items()}
        last = state[name][str(len(state[name]) - 1)]
        last += torch.as_tensor(answer, dtype=torch.float32)
    n = learner.game.size
    state["norm"] = {"sums": torch.tensor([[MEAN] * n, [MEAN**2 + STD**2] * n, [1.0] * n], dtype=torch.float64)}
    learner.load_state_dict(state)
    return learner


def steps(learner, rewards, terminated=(), truncated=(), idle=()):
    """One copy's steps; every flag names those of all agents."""
    rewards = np.asarray(rewards, np.float32)
    t, n = rewards.shape
    chosen = np.zeros((t, 1, n, learner.game.action_width), np.float32)
    chosen[..., 0] = 1.0

    def flags(numbers):
        return np.isin(np.arange(t), numbers)[:, None, None].repeat(n, axis=2)

    return Trajectories(
        observations=np.ones((t + 1, 1, n, learner.game.observation_width), np.float32),
        state=np.ones((t + 1, 1, learner.game.state_width), np.float32),
        actions=chosen,
        legal=None,
        log_probs=np.zeros((t, 1, n), np.float32),
        rewards=rewards[:, None],
        terminated=flags(terminated),
        truncated=flags(truncated),
        acted=~flags(idle),
        version=(0, learner.updates),
    )


def estimated(name, rewards, **flags):
    learner = told(learner_of(name, PAIR, discount=GAMMA, gae_lambda=LAM), said=0.5)
    learner.add(steps(learner, rewards, **flags))
    pending = learner.state_dict()["pending"]["0"]
    return pending["advantages"].numpy(), pending["targets"].numpy()


V = 0.5 * STD + MEAN


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize(
    ("ends", "after"), [({"terminated": [0]}, 0.0), ({"truncated": [0]}, GAMMA * V), ({}, GAMMA * V)]
)
def test_values_count_in_the_units_of_rewards(name, ends, after):
    """103.5 is what the critic says; after termination nothing comes, after a cut what it says."""
    advantages, targets = estimated(name, [[30.0, -8.0]], **ends)
    np.testing.assert_allclose(advantages[:, 0], [30.0 + after - V, -8.0 + after - V], rtol=1e-5)
    np.testing.assert_allclose(targets[:, 0], [30.0 + after, -8.0 + after], rtol=1e-5)


@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_rewards_of_steps_without_a_decision_belong_to_the_decision_before(name):
    advantages, _ = estimated(name, [[1.0, 4.0], [20.0, 50.0], [3.0, 6.0]], idle=[1], terminated=[2])
    last = np.array([3.0, 6.0]) - V
    first = np.array([1.0, 4.0]) + GAMMA * np.array([20.0, 50.0]) + GAMMA**2 * V - V + GAMMA * GAMMA * LAM * last
    np.testing.assert_allclose(advantages[:, 2], last, rtol=1e-5)
    np.testing.assert_allclose(advantages[:, 0], first, rtol=1e-5)


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize("action", [spaces.Discrete(2), BOX])
def test_rows_that_nobody_decided_are_as_if_they_were_not_there(name, action):
    """Half of the copies' only step was not their own; its reward is of another size."""
    game = spec(action, action)
    whole = recorded(game, steps=1, copies=16)
    ends = np.ones((1, 16, 2), bool)
    whole = replace(whole, terminated=ends, truncated=~ends, acted=ends & (np.arange(16) < 8)[:, None])
    whole.rewards[:, 8:] = 1000.0
    parts = {
        field: None if values is None or field == "version" else values[:, :8] for field, values in vars(whole).items()
    }
    half = replace(whole, **{**parts, "version": whole.version})
    found = []
    for experience in (whole, half):
        learner = learner_of(name, game, entropy=0.01, max_norm=0.01, epochs=2)
        losses = learner.add(experience) or learner.update()
        state = learner.state_dict()
        found.append([*state["actor"].values(), *state["critic"].values(), *state["spread"].values(),
                      state["norm"]["sums"].float(), torch.tensor([*losses.values()])])  # fmt: skip
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def huber(x, delta):
    return np.where(np.abs(x) <= delta, x**2 / 2, delta * (np.abs(x) - delta / 2))


def test_the_losses_of_one_step_by_hand():
    """The third row of the first agent was not decided; policies and values were others when the rows were made."""
    learner = told(learner_of("ippo", PAIR, clip=0.1, value_clip=0.3, huber=0.8, return_memory=0.5, entropy=0.5,
                              **ONE_STEP), said=0.5)  # fmt: skip
    learner.add(steps(learner, [[1.0, 2.0], [3.0, 1.0], [7.0, -2.0], [5.0, 5.0]], terminated=range(4)))
    state = learner.state_dict()
    rows = state["pending"]["0"]
    mask = np.array([[1, 1, 0, 1], [1, 1, 1, 1.0]])
    moved, advantages = (
        np.array([[0.3, -0.3, 9.0, 0.05]] * 2),
        np.array([[1.0, -2.0, 50.0, 3.0], [4.0, 1.0, 1.0, -1.0]]),
    )
    before = np.array([[1.5, 0.0, 9.0, 0.6]] * 2)
    targets = np.array([[90.0, 130.0, 1e6, 101.0], [104.0, 95.0, 99.0, 110.0]])
    rows |= {"acted": mask, "old": np.log(0.5) - moved, "advantages": advantages, "values": before, "targets": targets}
    rows |= {key: torch.as_tensor(values, dtype=torch.float32) for key, values in rows.items()}
    learner.load_state_dict(state)
    losses = learner.update()

    def mean(values):
        return ((values * mask).sum(axis=1) / mask.sum(axis=1)).mean()

    means = [np.average(own, weights=counted) for own, counted in zip(advantages, mask, strict=True)]
    spreads = [np.sqrt(np.cov(own, aweights=counted, bias=True)) for own, counted in zip(advantages, mask, strict=True)]
    standard = (advantages - np.array(means)[:, None]) / np.array(spreads)[:, None]
    ratio = np.exp(moved)
    assert losses["actor"] == pytest.approx(
        -mean(np.minimum(ratio * standard, np.clip(ratio, 0.9, 1.1) * standard)), rel=1e-3
    )
    # Half of the returns' statistics are those of before.
    m = [(MEAN + np.average(own, weights=counted)) / 2 for own, counted in zip(targets, mask, strict=True)]
    square = [
        (MEAN**2 + STD**2 + np.average(own**2, weights=counted)) / 2 for own, counted in zip(targets, mask, strict=True)
    ]
    wanted = (targets - np.array(m)[:, None]) / np.sqrt(np.array(square) - np.square(m))[:, None]
    near = before + np.clip(0.5 - before, -0.3, 0.3)
    assert losses["critic"] == pytest.approx(
        mean(np.maximum(huber(0.5 - wanted, 0.8), huber(near - wanted, 0.8))), rel=1e-3
    )
    assert losses["entropy"] == pytest.approx(np.log(2.0), rel=1e-5)
    assert (learner.updates, learner.experience, learner.update()) == (1, 4, {})
