"""The server's table of games, and games that people add to it from the command line."""

import json

import pytest

from agora.channels import connect_blocking
from agora.codec import from_tensor
from agora.errors import Refused
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2, rollout_pb2, rollout_pb2_grpc, seat_pb2
from bench.processes import Service
from env_server.environments import ENVIRONMENTS, add, load, make

TINY = "tests.support.tiny_game:Tiny"


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr("env_server.environments.ENVIRONMENTS", table := dict(ENVIRONMENTS))
    return table


def test_a_game_of_somebodys_own_is_built_like_any_other(table):
    add(f"tiny={TINY}")
    assert table["tiny"] == TINY
    game = make(pb.EnvironmentSpec(name="tiny", config_json='{"pay": 2.5}', num_envs=3))
    assert game.agents == ("left", "right") and game.num_envs == 3 and game.config.pay == 2.5
    add(f"tiny={TINY}")  # saying it twice does not matter


@pytest.mark.parametrize(
    ("game", "words"),
    [
        ("tiny", "expected NAME=MODULE:CLASS, got 'tiny'"),
        ("tiny=tests.support.tiny_game", "expected NAME=MODULE:CLASS"),
        ("a:b=tests.support.tiny_game:Tiny", "expected NAME=MODULE:CLASS"),
        ("tiny=tests.support.tiny_game:Tiny.reset", "expected NAME=MODULE:CLASS"),
        (f"charging={TINY}", "expected a name that no other game has, got 'charging'"),
        ("tiny=tests.support.nowhere:Tiny", "No module named"),
        ("tiny=tests.support.tiny_game:Nobody", "has no attribute 'Nobody'"),
        ("tiny=tests.support.tiny_game:NOT_A_GAME", "expected an Environment class"),
    ],
)
def test_malformed_games_are_refused_in_words(game, words, table):
    before = dict(table)
    with pytest.raises(Refused) as caught:
        add(game)
    assert words in str(caught.value) and table == before


@pytest.mark.parametrize(
    ("name", "config", "reason", "words"),
    [
        (
            "chess",
            "{}",
            policy_pb2.REASON_UNKNOWN_ENVIRONMENT,
            "charging, market, matrix, mpe, pettingzoo, scml",
        ),
        ("charging:more", "{}", policy_pb2.REASON_UNKNOWN_ENVIRONMENT, "'charging': its name ends there"),
        ("pettingzoo", "{}", policy_pb2.REASON_CONFIG, "environment.config.source"),
        ("pettingzoo:a", '{"source": "b"}', policy_pb2.REASON_CONFIG, "expected what the name says, 'a', got 'b'"),
        ("pettingzoo:a", "[1]", policy_pb2.REASON_CONFIG, "dictionary"),
    ],
)
def test_names_and_configurations_that_do_not_fit_are_refused(name, config, reason, words):
    with pytest.raises(Refused) as caught:
        make(pb.EnvironmentSpec(name=name, config_json=config, num_envs=1))
    assert caught.value.reason == reason and words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "field", "most"),
    [
        ("charging", "episode_rounds", 1_000_000),
        ("matrix", "rounds", 1_000_000),
        ("market", "cash", 10**12),
        ("market", "position_limit", 10**9),
        ("market", "maker_fee", 10**6),
        ("market", "taker_fee", -(10**6)),
        ("market", "worth.mean", 2**29 - 1),
    ],
)
def test_numbers_that_a_game_cannot_reckon_with_are_refused(name, field, most):
    def config(value):
        first, *rest = field.split(".")
        return json.dumps({first: {rest[0]: value} if rest else value})

    make(pb.EnvironmentSpec(name=name, config_json=config(most), num_envs=1))
    beyond = most + (1 if most > 0 else -1)
    with pytest.raises(Refused, match=rf"environment\.config\.{field}: expected .*, got {beyond}"):
        make(pb.EnvironmentSpec(name=name, config_json=config(beyond), num_envs=1))


def test_what_stands_behind_the_colon_is_the_games_business():
    assert load("pettingzoo:anything at all") is load("pettingzoo")


def test_a_server_plays_the_game_that_its_command_line_added():
    random = ["--policy", "scripted:random"]
    with Service("env_server", ["--game", f"tiny={TINY}"]) as server, Service("agent_services", random) as mind:
        with connect_blocking(server.address) as channel:
            stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
            assert "tiny" in stub.DescribeEnvironment(pb.DescribeEnvironmentRequest()).names
            request = rollout_pb2.CollectRequest(
                environment=pb.EnvironmentSpec(name="tiny", config_json='{"pay": 4}', num_envs=2),
                seats=[seat_pb2.Seat(agent=agent, addresses=[mind.address]) for agent in ("left", "right")],
                num_blocks=1,
                deadline_us=5_000_000,
            )
            segment = next(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request)).segment
        assert segment.steps == 3
        for agent in segment.agents:
            assert (from_tensor(agent.reward) == 4.0 * from_tensor(agent.action[0])).all()


def test_a_malformed_game_ends_the_server_with_2():
    service = Service("env_server", ["--game", "tiny"]).start(wait=False)
    assert service.process is not None and service.process.wait(30) == 2
