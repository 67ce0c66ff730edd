"""Written policies of the particle games: where they go, and that they earn what is known of such ladders."""

import numpy as np
import pytest
from gymnasium import spaces

from agent_services.policies import load
from agora.agents.policy import Batch, Draws, Source, Spaces
from agora.errors import Refused
from env_server.environments.mpe import Mpe
from env_server.environments.mpe.config import MpeConfig

MOVES = {False: spaces.Box(0.0, 1.0, (5,), np.float32), True: spaces.Discrete(5)}


def script(name):
    return load("scripted", Source(f"particle_{name}"))


def bound(name, width, discrete=False):
    seen = spaces.Box(-np.inf, np.inf, (width,), np.float32)
    return script(name).bind(Spaces.of(seen, MOVES[discrete]))


def decide(name, *rows, discrete=False, memory=None):
    seen = np.array(rows, np.float32)
    memory = np.zeros((len(seen), script(name).memory_bytes), np.uint8) if memory is None else memory
    draws = Draws(5, 0, 0, 0, np.arange(len(seen), dtype=np.uint32))
    return bound(name, seen.shape[1], discrete)(Batch([seen], [None], memory, draws))


def forces(name, *rows, **how):
    action = decide(name, *rows, **how).heads[0].action
    return (action[:, 2::2] - action[:, 1::2]).tolist()


def test_good_agents():
    # goal, landmarks A and B (B is the goal), the adversary, the other good agent, all relative to oneself
    near, far = [-1, 1], [-1, 3]
    row = [*[1, 0], *[0, 1], *[1, 0], *[9, 9]]
    assert forces("greedy", [*row, *near]) == [[1, 0]]
    assert forces("split", [*row, *near]) == [[1, 0]]  # 1 + 1 against 1 + 5
    assert forces("split", [*row, 0.9, -1]) == [[0, 1]]  # 1 + 1.01 against 1 + 4.81
    assert forces("decoy", [*row, *far]) == [[1, 0]]  # nearer to the goal than the other
    assert forces("decoy", [*row, 1, 0.5]) == [[0, 1]]


def test_adversaries():
    # landmarks A and B, good agents, all relative to oneself
    row = [*[0, 1], *[2, 0], *[2, 2], *[1.8, 0.5]]
    assert forces("follow", row) == [[1, 0]]
    assert forces("midpoint", row) == [[1, 1]]
    memory = None
    first = decide("guess", *[row] * 200)
    taken = first.heads[0].action
    share = np.mean(taken[:, 2] == 1)
    assert 0.4 < share < 0.6 and np.all((taken[:, 2] == 1) != (taken[:, 4] == 1))
    memory = first.memory.copy()
    memory[:, :8] = 0
    swapped = [*row[2:4], *row[:2], *row[4:]]
    assert np.array_equal(decide("guess", *[swapped] * 200, memory=memory).heads[0].action[:, 2] == 1, taken[:, 4] == 1)


def test_the_expert_shares_landmarks_out_and_brakes():
    # velocity, position, landmarks A, B, C, the other two agents, silence
    row = [0, 0, 5, 5, *[1, 0], *[0, 1], *[-1, 0], *[1, 0.5], *[-1, -1], 0, 0, 0, 0]
    assert forces("expert", row) == [[0, 1]]  # the others are nearer to A and C, or as near
    assert forces("expert", [0, 2, *row[2:]])[0][1] == 1.0
    assert forces("expert", [0, 2, 5, 5, 9, 9, 0, 0.1, -9, 9, 9, 9, -9, 9, 0, 0, 0, 0])[0][1] == -1.0
    assert decide("expert", row, discrete=True).heads[0].action.tolist() == [4]
    assert decide("noop", row, discrete=True).heads[0].action.tolist() == [0]
    assert not decide("noop", row).heads[0].action.any()


def test_velocity_is_remembered():
    row = [1, 0, 0, 1, 1, 0, 9, 9, -1, 1]
    first = decide("greedy", row)
    assert first.memory.view(np.float32).tolist() == [[0.5, 0]]  # mpe2: full force 5 for 0.1 s
    second = decide("greedy", row, memory=first.memory)
    assert second.memory.view(np.float32).tolist() == [[0.875, 0]]  # 3/4 of it, and as much again
    assert decide("greedy", row, discrete=True).memory.view(np.float32).tolist() == [[0.5, 0]]


@pytest.mark.parametrize(
    ("name", "width", "action", "words"),
    [
        ("greedy", 8, MOVES[False], "2 \\+ 4 N numbers, as simple_adversary \\(good agents\\)"),
        ("follow", 10, MOVES[False], "simple_adversary \\(adversary\\)"),
        ("expert", 17, MOVES[False], "6 N numbers, as simple_spread"),
        ("expert", 42, MOVES[False], "N from 1 to 6"),
        ("noop", 10, spaces.Box(-1.0, 1.0, (5,), np.float32), "Discrete\\(5\\)"),
        ("noop", 10, spaces.Discrete(3), "Discrete\\(5\\)"),
    ],
)
def test_other_spaces_are_refused(name, width, action, words):
    seen = spaces.Box(-np.inf, np.inf, (width,), np.float32)
    with pytest.raises(Refused, match=words):
        script(name).bind(Spaces.of(seen, action))


def returns(policies, episodes, **config):
    """Mean return of each agent, and its standard error."""
    game, copies = Mpe(MpeConfig(**config), episodes), np.arange(episodes, dtype=np.uint32)
    minds = []
    for i, (agent, policy) in enumerate(zip(game.agents, policies, strict=True)):
        seat = Spaces.of(game.observation_spaces[agent], game.action_spaces[agent], i, agent)
        minds.append(load("scripted", Source(policy)).bind(seat))
    memory = [np.zeros((episodes, load("scripted", Source(policy)).memory_bytes), np.uint8) for policy in policies]
    step, total = game.reset(3, copies), 0.0
    for t in range(game.config.max_cycles):
        actions = []
        for i, mind in enumerate(minds):
            decided = mind(Batch([step.observations[i][""]], [None], memory[i], Draws(3, 0, i, t, copies)))
            memory[i] = memory[i] if decided.memory is None else decided.memory
            actions.append({"": decided.heads[0].action})
        step = game.step(actions)
        total = total + step.rewards
    return total.mean(axis=0), total.std(axis=0) / episodes**0.5


# Figures of such policies by an implementation of their own on mpe2's physics, 20,000 episodes, errors up to 0.11.
@pytest.mark.parametrize(
    ("good", "adversary", "expected"),
    [
        ("greedy", "guess", (-15.45, 11.92)),
        ("greedy", "midpoint", (-15.19, 11.66)),
        ("greedy", "follow", (-7.86, 4.33)),
        ("split", "midpoint", (-15.19, 11.26)),
        ("split", "follow", (-15.38, 11.44)),
        ("decoy", "midpoint", (-15.19, 11.64)),
        ("decoy", "follow", (-13.28, 9.72)),
    ],
)
def test_the_ladder_of_simple_adversary(good, adversary, expected):
    policies = [f"particle_{adversary}", *[f"particle_{good}"] * 2]
    mean, error = returns(policies, 2000, source="simple_adversary")
    assert np.all(np.abs(mean - np.array([*expected, expected[1]])) < 3 * np.hypot(error, 0.11))


@pytest.mark.parametrize(("policy", "expected"), [("particle_expert", -5.64), ("particle_noop", -24.15)])
def test_the_ladder_of_simple_spread(policy, expected):
    mean, error = returns([policy] * 3, 2000, source="simple_spread")
    assert np.all(np.abs(mean - expected) < 3 * np.hypot(error, 0.06))
