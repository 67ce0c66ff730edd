"""The batched tasks against mpe2 itself, and against numbers by hand."""

import math

import numpy as np
import pytest

from bench.mpe_parity import TASKS, TOLERANCE, Start, compare, random_actions, random_start
from env_server.environments.mpe import Mpe, MpeConfig

OTHER_SIZES = [
    {"source": "simple_spread", "num_agents": 1},
    {"source": "simple_spread", "num_agents": 5, "local_ratio": 0.2},
    {"source": "simple_adversary", "num_agents": 4},
    {"source": "simple_tag", "num_good": 2, "num_adversaries": 2, "num_obstacles": 3},
    {"source": "simple_tag", "num_obstacles": 0},
]


def assert_equal(game, start, actions):
    gap = compare(game, start, actions)
    assert gap.steps == game.num_envs * len(actions)
    assert gap.observations <= TOLERANCE and gap.rewards <= TOLERANCE


def full(game, *choices):
    """Everyone in every copy does so with full force."""
    rows = np.zeros((game.num_envs, 5), np.float32)
    rows[:, list(choices)] = 1.0
    return [{"": rows} for _ in game.agents]


@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_200_random_steps_are_those_of_mpe2(task, continuous):
    game, rng = Mpe(MpeConfig(source=task, continuous_actions=continuous), 8), np.random.default_rng(7)
    assert_equal(game, random_start(game, rng), [random_actions(game, rng) for _ in range(25)])


@pytest.mark.parametrize("settings", OTHER_SIZES, ids=str)
def test_other_sizes_are_those_of_mpe2(settings):
    game, rng = Mpe(MpeConfig(**settings, max_cycles=10), 4), np.random.default_rng(8)
    assert_equal(game, random_start(game, rng), [random_actions(game, rng) for _ in range(10)])


@pytest.mark.parametrize("task", ["simple_spread", "simple_tag"])
def test_a_crowd_bursts_as_in_mpe2(task):
    game, rng = Mpe(MpeConfig(source=task, max_cycles=15), 6), np.random.default_rng(9)
    start = random_start(game, rng)
    crowd = Start(0.1 * start.positions, start.velocities, None, None)
    assert_equal(game, crowd, [random_actions(game, rng) for _ in range(15)])


def test_speeding_out_of_the_arena_is_that_of_mpe2():
    game, rng = Mpe(MpeConfig(source="simple_tag"), 4), np.random.default_rng(10)
    start = random_start(game, rng)
    fast = Start(start.positions, 4.0 * start.velocities, None, None)
    steps = [game.place(fast.positions, fast.velocities), *(game.step(full(game, 2, 4)) for _ in range(25))]
    speeds = np.array([np.hypot(*step.observations[0][""][:, :2].T) for step in steps[1:]])
    assert speeds.max() == pytest.approx(1.0) and np.abs(steps[-1].info["positions"]).max() > 2.0
    assert_equal(game, fast, [full(game, 2, 4)] * 25)


def test_position_comes_before_velocity():
    game = Mpe(MpeConfig(num_agents=1), 1)
    game.place(np.zeros((1, 2, 2)))
    rows = [game.step(full(game, 2)).observations[0][""][0, :4] for _ in range(3)]
    # velocity 0.75 v + 5 * 0.1; place x + 0.1 * velocity of before
    expected = [[0.5, 0, 0, 0], [0.875, 0, 0.05, 0], [1.15625, 0, 0.1375, 0]]
    np.testing.assert_allclose(rows, expected, atol=1e-7)


def test_overlapping_agents_push_one_another_and_pay():
    game = Mpe(MpeConfig(num_agents=2), 1)
    game.place(np.array([[[-0.1, 0.0], [0.1, 0.0], [0.0, 0.0], [0.0, 1.0]]]))
    step = game.step(full(game))
    # 0.1 deep: a force of 100 * 0.1 over 0.1 s
    np.testing.assert_allclose(step.observations[0][""][0, :2], [-1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(step.observations[1][""][0, :2], [1.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(step.rewards, -0.5 - 0.5 * (0.1 + math.hypot(0.1, 1.0)))


def test_agents_at_the_very_same_point_do_not_push():
    game = Mpe(MpeConfig(num_agents=2), 1)
    game.place(np.zeros((1, 4, 2)))
    step = game.step(full(game))
    assert not step.state[""].any() and (step.rewards == -0.5).all()


@pytest.mark.parametrize(
    ("place", "penalty"),
    [((0.0, -0.9), 0.0), ((0.95, 0.0), 0.5), ((-0.95, 0.98), 1.3), ((1.5, 0.0), math.e), ((0.0, -3.0), 10.0)],
)
def test_prey_pays_for_leaving_the_arena(place, penalty):
    game = Mpe(MpeConfig(source="simple_tag", num_adversaries=1, num_obstacles=0), 1)
    game.place(np.array([[[0.0, 9.0], place]]))
    np.testing.assert_allclose(game.step(full(game)).rewards, [[0.0, -penalty]], atol=1e-12)


def test_predators_share_what_one_catches():
    game = Mpe(MpeConfig(source="simple_tag", num_adversaries=2, num_good=2, num_obstacles=0), 1)
    game.place(np.array([[[0.0, 0.0], [0.5, 0.0], [0.1, 0.0], [0.6, 0.0]]]))
    assert game.step(full(game)).rewards.tolist() == [[20.0, 20.0, -10.0, -10.0]]


def test_what_is_said_is_heard_one_step_later_and_the_goal_is_rewarded():
    game = Mpe(MpeConfig(source="simple_speaker_listener"), 1)
    positions = np.array([[[9.0, 9.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [3.0, 4.0]]])
    start = game.place(positions, goals=np.array([2]))
    np.testing.assert_array_equal(start.observations[0][""], np.float32([[0.15, 0.15, 0.65]]))
    assert not start.observations[1][""][0, 8:].any() and start.info["goal"].tolist() == [4]
    words = np.float32([[0.25, 0.5, 1.0]])
    step = game.step([{"": words}, {"": np.zeros((1, 5), np.float32)}])
    np.testing.assert_array_equal(step.observations[1][""][:, 8:], words)
    assert step.rewards.tolist() == [[-25.0, -25.0]]
