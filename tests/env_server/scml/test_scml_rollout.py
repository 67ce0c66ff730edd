"""Factories played by agent services: an environment server, its engine's processes and the services, all real."""

import json
import time

import duckdb
import grpc
import numpy as np
import pytest

from agora.channels import connect_blocking
from agora.codec import from_tensor
from agora.errors import Refused, explain
from agora.v1 import (
    environment_pb2 as env_pb,
    environment_pb2_grpc,
    policy_pb2,
    rollout_pb2 as pb,
    rollout_pb2_grpc,
    seat_pb2,
)
from bench.processes import Service
from tests.support.late import late

AGENTS = [f"factory_{i}" for i in range(4)]


def game(name="scml", copies=4, **config):
    text = env_pb.EnvironmentSpec(name=name, num_envs=copies)
    settings = {"days": 3, "levels": 2, "factories": 2, **config} if name == "scml" else config
    text.config_json = "{" + ", ".join(f'"{key}": {value}' for key, value in settings.items()) + "}"
    return text


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    return tmp_path_factory.mktemp("trajectories")


@pytest.fixture(scope="module")
def server(logs):
    with Service("env_server", ["--log-directory", str(logs)]) as service:
        yield service.address


@pytest.fixture(scope="module")
def mind():
    with Service("agent_services", ["--policy", "scripted:haggler"]) as service:
        yield service.address


@pytest.fixture(scope="module")
def chance():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


def request(seats, environment=None, **changes):
    return pb.CollectRequest(
        **{
            "environment": environment or game(),
            "seats": [seat_pb2.Seat(agent=agent, addresses=[address]) for agent, address in seats.items()],
            "seed": 5,
            "num_blocks": 1,
            "deadline_us": 5_000_000,
            "run": "r",
            **changes,
        }
    )


def collect(server, seats, environment=None, **changes):
    message = request(seats, environment, **changes)
    with connect_blocking(server) as channel:
        try:
            items = list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=100))
        except grpc.RpcError as error:
            raise explain(error, server) from error
    return [item.segment for item in items[:-1]], items[-1].summary


def test_services_play_whole_episodes_within_their_masks(server, mind):
    segments, summary = collect(server, dict.fromkeys(AGENTS, mind), num_blocks=2)
    assert summary.blocks == 2 and summary.substituted_actions == 0
    for segment in segments:
        acted = np.stack([from_tensor(agent.acted) for agent in segment.agents])
        assert acted.shape == (4, segment.steps, 4) and set(np.unique(acted)) == {0, 1}
        assert acted.sum(axis=0).max() == 1 and acted.sum(axis=1).min() >= 1
        for agent in segment.agents:
            assert (from_tensor(agent.terminated).sum(axis=0) == 1).all() and not from_tensor(agent.truncated).any()
            assert np.isfinite(from_tensor(agent.reward)).all()


def test_the_log_says_what_answers_came_to(server, mind, logs):
    segments, _ = collect(server, dict.fromkeys(AGENTS, mind), run="logged", log=True)
    table = duckdb.sql(
        'select step, copy, "info.seat", "info.executed", "info.edited", "info.substituted" '
        f"from '{logs}/logged-*.parquet' order by step, copy"
    ).fetchall()
    acted = np.stack([from_tensor(agent.acted) for agent in segments[0].agents], axis=2)
    assert len(table) == segments[0].steps * 4
    for step, copy, seat, executed, edited, substituted in table:
        assert seat == (acted[step, copy].argmax() if acted[step, copy].any() else -1)
        assert len(executed) == 2 * 4 and len(edited) == 2 and not substituted
    assert {row[3][0] for row in table} == {0, 1, 2}


def test_a_description_needs_no_engine(server):
    with connect_blocking(server) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        told = stub.DescribeEnvironment(env_pb.DescribeEnvironmentRequest(environment=game(copies=1)))
    assert [agent.id for agent in told.agents] == AGENTS and not told.has_payoff
    leaves = [member.key for member in told.agents[0].observation_space.dict.members]
    assert leaves == ["factory", "commitments", "slots", "history"]
    assert json.loads(told.facts_json)["factories"] == ["0.0", "0.1", "1.0", "1.1"]


def test_random_play_keeps_to_the_masks(server, chance):
    segments, summary = collect(server, dict.fromkeys(AGENTS, chance))
    assert summary.blocks == 1 and summary.substituted_actions == 0
    chosen = 0
    for agent in segments[0].agents:
        acted = from_tensor(agent.acted) == 1
        for place, choices in ((0, 3), (1, 11)):
            mask = from_tensor(agent.action_mask[place])[acted].reshape(acted.sum(), -1, choices)
            action = from_tensor(agent.action[place])[acted]
            assert np.take_along_axis(mask, action[..., None], axis=2).all()
            chosen += action.size
            assert not mask.all()
    assert chosen > 100


def test_a_block_is_the_same_from_one_process_or_two_and_again(server, mind, chance):
    seats = {**dict.fromkeys(AGENTS, mind), "factory_1": chance}
    said = [collect(server, seats, game(workers=workers))[0] for workers in (1, 2, 1)]
    one, two, again = ([segment.SerializeToString() for segment in segments] for segments in said)
    assert one == two == again


def test_a_factory_whose_service_is_killed_plays_on_by_default(server, mind):
    with Service("agent_services", ["--policy", "scripted:haggler"]) as victim:
        seats = {**dict.fromkeys(AGENTS, mind), "factory_1": victim.address}
        fallback = {"fallback": pb.FALLBACK_ENVIRONMENT_DEFAULT, "deadline_us": 500_000, "retries": 1}
        message = request(seats, game(copies=2), num_blocks=2, **fallback)
        with connect_blocking(server) as channel:
            items = rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=100)
            played = [next(items)]
            victim.kill()
            start = time.monotonic()
            played += items
            taken = time.monotonic() - start
    summary = played.pop().summary
    acted = [np.stack([from_tensor(agent.acted) for agent in item.segment.agents]) for item in played]
    assert summary.blocks == 2 and len(acted) == 2
    assert summary.substituted_actions == sum((block == 2).sum() for block in acted) > 0
    assert all((block[[0, 2, 3]] != 2).all() for block in acted) and acted[1][1].max() == 2
    # Every frame for the dead service was waited for twice.
    frames = (acted[1][1] == 2).any(axis=1).sum()
    assert taken >= 2 * 0.5 * frames


def test_a_service_that_hangs_for_a_moment_is_asked_again(server, mind, chance):
    """Of the sixth frame two answers are held back: they come with the third, and one of them is enough."""
    agents = [f"station_{i}" for i in range(4)]
    asked = {"environment": game("charging", episode_rounds=20), "deadline_us": 500_000, "retries": 99}

    def played(holds, **changes):
        with late(holds) as address:
            return collect(server, {**dict.fromkeys(agents, chance), "station_2": address}, **{**asked, **changes})

    calm, _ = played(lambda frame: False)
    patient, summary = played(lambda frame: frame in (5, 6))
    assert summary.substituted_actions == 0 and summary.stale_answers >= 2
    assert [s.SerializeToString() for s in patient] == [s.SerializeToString() for s in calm]
    with pytest.raises(Refused, match="station_2") as caught:
        played(lambda frame: frame in (5, 6), retries=1)
    assert caught.value.reason == policy_pb2.REASON_DEADLINE


def test_a_game_without_a_default_action_refuses_that_fallback(server, mind):
    seats = {f"station_{i}": mind for i in range(4)}
    with pytest.raises(Refused, match="no default action") as caught:
        collect(server, seats, game("charging"), fallback=pb.FALLBACK_ENVIRONMENT_DEFAULT)
    assert caught.value.reason == policy_pb2.REASON_UNSUPPORTED and caught.value.field == "fallback"
    with pytest.raises(Refused, match="at most 100, got 101"):
        collect(server, seats, game("charging"), retries=101)


def test_wrong_configurations_are_refused_by_field(server, mind):
    for config, field, words in (
        ({"days": 1}, "environment.config", "more than the 2 levels"),
        ({"seats": '[["service"], ["nobody"]]', "days": 3}, "environment.config", "nobody"),
        ({"shield": '"thick"'}, "environment.config.shield", "certain"),
    ):
        with pytest.raises(Refused) as caught:
            collect(server, dict.fromkeys(AGENTS if "seats" not in config else AGENTS[:1], mind), game(**config))
        assert caught.value.field == field and words in str(caught.value)
