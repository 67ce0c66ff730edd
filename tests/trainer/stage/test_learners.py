import copy
import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pydantic import ValidationError

from tests.support.states import same
from trainer.checkpoint import load_newest, save_checkpoint
from trainer.spec import GameSpec
from trainer.stage import ALGORITHMS, make_learner
from trainer.stage.base import Situation
from trainer.stage.config import configured
from trainer.stage.experience import transitions

QUICK = {"warmup": 20, "actor_delay": 0}
both = pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))


def learner_of(algorithm, spec, **overrides):
    return make_learner(algorithm, "default", {**QUICK, **overrides}, spec, 5)


def test_shapes_are_the_briefs():
    prices = spaces.Box(0.0, 1.0, (4, 8), np.float32)
    flow = spaces.Box(0.0, 9.0, (8,), np.float32)
    seen = spaces.Dict({"last_round_all_prices": prices, "own_charging_flow": flow})
    state = spaces.Dict({"last_round_all_prices": prices, "charging_flows": spaces.Box(0.0, 9.0, (4, 8), np.float32)})
    action = spaces.Box(0.0, 1.0, (8,), np.float32)
    spec = GameSpec("brief", "{}", tuple("abcd"), (seen,) * 4, (action,) * 4, state, True, {})
    for algorithm, critic_in in (("maddpg", 96), ("mean_field_ddpg", 32)):
        found = make_learner(algorithm, "brief", {}, spec, 0).state_dict()["minds"]
        assert [tuple(found["actor"][str(i)].shape) for i in range(3)] == [(4, 40, 64), (4, 64, 64), (4, 64, 8)]
        assert [tuple(found["critic"][str(i)].shape) for i in range(3)] == [
            (4, critic_in, 128),
            (4, 128, 64),
            (4, 64, 1),
        ]


def test_what_critics_see(spec, block):
    segment = block()
    maddpg, mean_field = (learner_of(a, spec) for a in ("maddpg", "mean_field_ddpg"))
    batch = transitions(segment, maddpg.layout, maddpg.critic_state, 0.0, ahead=True)
    prices, flows = segment.state["last_round_all_prices"], segment.state["charging_flows"]
    row = 2 * 6 + 3  # step 2, copy 3
    expected = np.concatenate([flows[2, 3].ravel(), prices[2, 3].ravel()])  # a Dict space's order
    np.testing.assert_array_equal(batch.critic_state[row, 0], expected)
    np.testing.assert_array_equal(batch.next_critic_state[row, 0][6:], prices[3, 3].ravel())
    field = transitions(segment, mean_field.layout, mean_field.critic_state, 0.0, ahead=False)
    others = (prices[2, 3, 0] + prices[2, 3, 2]) / 2
    np.testing.assert_allclose(field.critic_state[row, 1], np.concatenate([prices[2, 3, 1], flows[2, 3, 1], others]))
    assert field.next_critic_state.shape == (24, 3, 0)
    joint = torch.arange(3 * 2 * 3 * 2.0).reshape(3, 2, 3, 2)
    assert torch.equal(mean_field.actions(joint)[1], joint[1, :, 1])
    assert torch.equal(maddpg.actions(joint)[2], joint[2].reshape(2, 6))


def test_weights_follow_who_explored_and_who_acted(spec, block):
    segment = block()
    acted = segment.agents[0].acted.copy()
    acted[1, 0] = 2
    agents = (dataclasses.replace(segment.agents[0], acted=acted), *segment.agents[1:])
    learner = learner_of("maddpg", spec)
    batch = transitions(dataclasses.replace(segment, agents=agents), learner.layout, learner.critic_state, 0.25, False)
    assert batch.weights[:3].tolist() == [[1, 0.25, 0.25], [0.25, 1, 0.25], [0.25, 0.25, 1]]
    assert batch.weights[6].tolist() == [0, 0.25, 0.25]  # station 0 did not act itself: a surprise to the others
    assert batch.continues[:18].all() and not batch.continues[18:].any()


@both
def test_learning_finds_the_best_action(algorithm, spec, block):
    """Reward -(a - goal)²: each agent's best action does not depend on the others'."""
    goal = np.array([[0.4, 1.6], [1.0, 1.2], [1.5, 0.5]], np.float32)
    learner = learner_of(algorithm, spec, updates_per_step=1.5)
    for number in range(20):
        learner.add(block(number, copies=12, rewards=lambda actions: -np.square(actions - goal).sum(axis=-1)))
        losses = learner.update(48)
    assert losses["critic"] < 0.05
    segment = block(99)
    seen = [{path: values[0] for path, values in agent.observation.items()} for agent in segment.agents]
    np.testing.assert_allclose(learner.act(seen).mean(axis=0), goal, atol=0.12)
    values = learner.appraiser(Situation.last_of(segment)).own_values(torch.from_numpy(goal)[:, None])
    np.testing.assert_allclose(values.detach().numpy(), 0.0, atol=0.3)


@both
@pytest.mark.parametrize("preset", ["default", "brief"])
def test_resume_is_bit_exact(algorithm, preset, spec, block, tmp_path):
    learner = make_learner(algorithm, preset, QUICK, spec, 1)
    learner.add(block(0))
    learner.update(20)
    save_checkpoint(tmp_path, 1, learner.state_dict(), 1)
    resumed = make_learner(algorithm, preset, QUICK, spec, 77)
    resumed.load_state_dict(load_newest(tmp_path))
    for one in (learner, resumed):
        one.add(block(1))
        one.update(15)
        one.refit(20, 3)
        one.adopt(np.ones((3, 2), np.float32), np.array([True, False, True]))
    same(learner.state_dict(), resumed.state_dict())


def test_a_fresh_learner_can_be_saved_too(spec, tmp_path):
    learner = learner_of("maddpg", spec)
    save_checkpoint(tmp_path, 1, learner.state_dict(), 1)
    other = learner_of("maddpg", spec)
    other.load_state_dict(load_newest(tmp_path))
    same(learner.state_dict(), other.state_dict())


@both
def test_a_discount_looks_ahead(algorithm, spec, block):
    """Reward 1 everywhere and no end: the value is 1 / (1 - γ)."""
    overrides = {"discount": 0.5, "averaging": 0.2, "updates_per_step": 6.0, "actor_delay": 10**6, "action_scale": 1.0}
    learner = learner_of(algorithm, spec, **overrides)
    segment = block(0, copies=60, rewards=lambda actions: np.ones(actions.shape[:3]))
    agents = tuple(dataclasses.replace(a, terminated=np.zeros_like(a.terminated)) for a in segment.agents)
    learner.add(dataclasses.replace(segment, agents=agents))
    for _ in range(4):
        learner.update(24)
    situation = Situation.last_of(segment)
    value = learner.appraiser(situation).own_values(torch.from_numpy(situation.actions)[:, None])
    np.testing.assert_allclose(value.detach().numpy(), 2.0, atol=0.15)


def test_adopt_moves_only_whom_it_should(spec, block):
    learner = learner_of("maddpg", spec)
    segment = block()
    learner.add(segment)
    seen = [{path: values[0] for path, values in agent.observation.items()} for agent in segment.agents]
    before = learner.act(seen)
    goal = np.array([[0.2, 1.9], [1.0, 1.0], [1.5, 0.6]], np.float32)
    learner.adopt(goal, np.array([True, False, True]))
    after = learner.act(seen)
    np.testing.assert_array_equal(after[:, 1], before[:, 1])
    np.testing.assert_allclose(after[:, [0, 2]], np.broadcast_to(goal[[0, 2]], (6, 2, 2)), atol=0.1)


def test_evaluations_are_experience_only_in_a_stage_game(spec, block):
    situation = Situation.last_of(block())
    actions = np.repeat(situation.actions[None], 4, axis=0)
    for discount, expected in ((0.0, 4), (0.9, 0)):
        learner = learner_of("mean_field_ddpg", spec, discount=discount)
        learner.add_evaluations(situation, actions, np.ones((4, 3)))
        assert learner.experience == expected


def test_updates_are_owed_by_experience(spec, block):
    learner = learner_of("maddpg", spec, warmup=40, updates_per_step=0.1)
    learner.add(block(0))
    assert learner.update(24) == {} and learner.updates == 0
    learner.add(block(1))
    learner.update(24)
    learner.update(24)
    assert learner.updates == 4


def test_noise_decays_or_takes_turns():
    brief = configured("maddpg", "brief", {})
    assert brief.noise_scale(7, 0) == 0.2
    assert brief.noise_scale(7, 100) == pytest.approx(0.2 * 0.995**100, rel=1e-3)
    assert brief.noise_scale(7, 10_000) == 0.02
    ours = configured("maddpg", "default", {})
    scales = np.log([ours.noise_scale(number, 0) / 0.03 for number in range(100)]) / np.log(10)
    assert np.histogram(scales, bins=10, range=(0, 1))[0].tolist() == pytest.approx([10] * 10, abs=1)


def test_configuration_is_strict():
    assert configured("maddpg", "brief", {"batch_size": 32}).batch_size == 32
    with pytest.raises(ValidationError, match="batch_sise"):
        configured("maddpg", "default", {"batch_sise": 32})
    with pytest.raises(ValueError, match="expected one of"):
        configured("maddpg", "fast", {})
    with pytest.raises(ValueError, match="expected one of"):
        configured("ppo", "default", {})


def test_games_that_cannot_be_batched_are_refused(spec):
    other = spaces.Box(0.0, 1.0, (3,), np.float32)
    mixed = dataclasses.replace(spec, action_spaces=(*spec.action_spaces[:2], other))
    with pytest.raises(ValueError, match="station_2: expected the spaces of station_0"):
        learner_of("maddpg", mixed)
    endless = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    with pytest.raises(ValueError, match="finite bounds"):
        learner_of("maddpg", dataclasses.replace(copy.copy(spec), action_spaces=(endless,) * 3))
