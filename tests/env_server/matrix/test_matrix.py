"""Normal-form games: payoffs, episodes, and refusals."""

import itertools

import grpc
import numpy as np
import pytest
from gymnasium import spaces
from pydantic import ValidationError

from agora.channels import connect_blocking
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused, explain
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc
from bench.processes import Service
from env_server.environments.base import PayoffEnvironment
from env_server.environments.matrix import Matrix, MatrixConfig
from env_server.environments.matrix.games import GAMES

THREE = [  # payoffs[agent][first][second][third]: agents with 2, 1 and 3 choices
    [[[1, 2, 3]], [[4, 5, 6]]],
    [[[10, 20, 30]], [[40, 50, 60]]],
    [[[0, 0, 1]], [[0, -1, 0]]],
]


def game(num_envs=2, **config):
    return Matrix(MatrixConfig(**config), num_envs)


def said(*choices):
    return [{"": np.array(column, np.int64)} for column in choices]


def begun(num_envs=2, **config):
    found = game(num_envs, **config)
    return found, found.reset(1, np.arange(num_envs, dtype=np.uint32))


def test_it_is_an_environment_with_payoffs():
    found, step = begun()
    assert isinstance(found, PayoffEnvironment)
    assert found.agents == ("player_0", "player_1")
    assert found.action_spaces["player_1"] == spaces.Discrete(2)
    assert step.awaited.all() and not step.rewards.any()
    np.testing.assert_array_equal(step.observations[0][""], [[1, 0, 0, 0, 0]] * 2)


@pytest.mark.parametrize(
    ("name", "pay"),
    [  # of the first and the second agent in each cell, rows from top to bottom, as printed where they come from
        ("chicken", [(6, 6), (2, 7), (7, 2), (0, 0)]),
        ("climbing", [(x, x) for x in (11, -30, 0, -30, 7, 6, 0, 0, 5)]),
        ("coordination", [(2, 2), (0, 0), (0, 0), (1, 1)]),
        ("matching_pennies", [(1, -1), (-1, 1), (-1, 1), (1, -1)]),
        ("penalty", [(x, x) for x in (10, 0, -100, 0, 2, 0, -100, 0, 10)]),
        ("prisoners_dilemma", [(3, 3), (0, 5), (5, 0), (1, 1)]),
        ("rock_paper_scissors", [(0, 0), (-1, 1), (1, -1), (1, -1), (0, 0), (-1, 1), (-1, 1), (1, -1), (0, 0)]),
        ("stag_hunt", [(4, 4), (0, 3), (3, 0), (3, 3)]),
    ],
)
def test_named_games_pay_what_is_printed(name, pay):
    count = len(GAMES[name].choices)
    cells = np.array([*itertools.product(range(count), repeat=2)])
    found, _ = begun(len(cells), game=name)
    step = found.step(said(*cells.T))
    np.testing.assert_array_equal(step.rewards, pay)
    np.testing.assert_array_equal(found.payoff(cells[:, :, None].astype(float), False)[0], pay)
    assert len(found.facts["panels"][0]["labels"]) == count


def test_every_game_is_tested_above():
    assert len(GAMES) == 8


def test_three_agents_with_choices_of_their_own():
    found, step = begun(game="custom", payoffs=THREE)
    assert [space.n for space in found.action_spaces.values()] == [2, 1, 3]
    assert step.observations[2][""].shape == (2, 7)
    step = found.step(said([0, 1], [0, 0], [2, 1]))
    np.testing.assert_array_equal(step.rewards, [[3, 30, 1], [5, 50, -1]])
    np.testing.assert_array_equal(step.observations[2][""], [[1, 1, 0, 1, 0, 0, 1], [1, 0, 1, 1, 0, 1, 0]])
    assert all(found.observation_spaces["player_0"].contains(seen) for seen in step.observations[0][""])
    np.testing.assert_array_equal(step.info["played"][1], [[0, 1, 0], [1, 0, 0], [0, 1, 0]])


def test_an_episode_ends_by_the_rules():
    found, _ = begun(rounds=2)
    first = found.step(said([0, 1], [1, 1]))
    np.testing.assert_array_equal(first.observations[1][""], [[1, 1, 0, 0, 1], [1, 0, 1, 0, 1]])
    assert first.awaited.all() and not first.terminated.any()
    last = found.step(said([0, 1], [1, 1]))
    assert last.terminated.all() and not last.truncated.any() and not last.awaited.any()
    with pytest.raises(RuntimeError, match="expected a reset after 2 rounds"):
        found.step(said([0, 1], [1, 1]))
    np.testing.assert_array_equal(found.reset(2, np.arange(2, dtype=np.uint32)).state[""], [[1, 0, 0, 0, 0]] * 2)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (said([0, 1]), "actions: expected one for each of 2 agents, got 1"),
        ([{"a": np.zeros(2, np.int64)}] * 2, r"player_0: action: expected the one leaf '', got \['a'\]"),
        ([{"": np.zeros(2, np.int32)}] * 2, r"player_0: action: expected int64 \(2,\), got int32 \(2,\)"),
        (said([0, 1], [0, 1, 1]), r"player_1: action: expected int64 \(2,\), got int64 \(3,\)"),
        (said([0, 0], [0, 2]), "player_1: action of copy 1: expected a whole number from 0 to 1, got 2"),
        (said([-1, 0], [0, 0]), "player_0: action of copy 0: expected a whole number from 0 to 1, got -1"),
    ],
)
def test_bad_actions_are_refused_and_change_nothing(actions, words):
    found, _ = begun()
    with pytest.raises(ValueError, match=words):
        found.step(actions)
    assert found.step(said([0, 0], [0, 0])).terminated.all()


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((1, 2, 2)), r"expected float64 \(M, 2, 1\), got float64 \(1, 2, 2\)"),
        (np.zeros((1, 2, 1), np.float32), "got float32"),
        (np.full((1, 2, 1), 0.5), "player_0: action of copy 0: expected a whole number from 0 to 1, got 0.5"),
        (np.full((1, 2, 1), np.nan), "got nan"),
    ],
)
def test_bad_joint_actions_are_refused(actions, words):
    with pytest.raises(ValueError, match=words):
        game().payoff(actions, False)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"game": "custom"}, "payoffs: expected some for game custom"),
        ({"payoffs": [[1, 2]]}, "payoffs: expected none but for game custom"),
        ({"game": "custom", "payoffs": [[[1, 2], [3]], [[0, 1], [5, 6]]]}, "payoffs: expected equally long rows"),
        ({"game": "custom", "payoffs": [[1, 2], [3, 4]]}, r"of 2 dimensions, got shape \(2, 2\)"),
        ({"game": "custom", "payoffs": [[]]}, "got shape"),
        ({"game": "custom", "payoffs": [[1, float("inf")]]}, "a finite number for 0.1"),
        ({"game": "poker"}, "Input should be 'chicken'"),
        ({"rounds": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_configurations_are_refused(config, words):
    with pytest.raises(ValidationError, match=words):
        MatrixConfig(**config)


def test_configuration_survives_json():
    config = MatrixConfig(game="custom", payoffs=THREE)
    assert MatrixConfig.model_validate_json(config.model_dump_json()) == config


def test_a_server_tells_its_payoffs():
    config = '{"game": "climbing"}'
    spec = pb.EnvironmentSpec(name="matrix", config_json=config, num_envs=1)
    joint = np.array([[[0], [0]], [[1], [2]]], np.float64)
    with Service("env_server") as server, connect_blocking(server.address) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        described = stub.DescribeEnvironment(pb.DescribeEnvironmentRequest(environment=spec))
        answer = stub.EvaluatePayoff(pb.EvaluatePayoffRequest(environment=spec, actions=to_tensor(joint)))
        with pytest.raises(grpc.RpcError) as caught:
            stub.EvaluatePayoff(pb.EvaluatePayoffRequest(environment=spec, actions=to_tensor(joint + 9)))
    assert described.has_payoff and [agent.id for agent in described.agents] == ["player_0", "player_1"]
    np.testing.assert_array_equal(from_tensor(answer.payoffs), [[11, 11], [6, 6]])
    refused = explain(caught.value, "server")
    assert isinstance(refused, Refused) and "player_0: action of copy 0" in str(refused)
