"""Whose fault it is: what a caller did is refused, what a game did is an incident with a traceback in the log."""

import json
import re
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
from dm_env_rpc.v1 import connection, dm_env_rpc_pb2 as official, error, tensor_utils

from agora.channels import connect_blocking
from agora.clients.driver import Driver
from agora.codec import to_tensor
from agora.errors import Refused, explain
from agora.v1 import (
    environment_pb2 as pb,
    environment_pb2_grpc,
    policy_pb2,
    rollout_pb2,
    rollout_pb2_grpc,
    seat_pb2,
)
from bench.processes import Service, free_address

GAME = ["--game", "faulty=tests.support.tiny_game:Faulty"]
KINDS = ("ValueError", "RuntimeError", "KeyError", "MemoryError", "SystemExit")


@pytest.fixture(scope="module")
def minds():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("logs") / "server.log"


@pytest.fixture(scope="module")
def server(log):
    with Service("env_server", GAME, log=log) as service:
        yield service.address


def is_an_incident(refused, log):
    """Whether the log has the traceback under the number that was told, and the caller nothing of it."""
    assert refused.reason == policy_pb2.REASON_INTERNAL and not refused.retryable
    assert "secret" not in str(refused) and "legal" not in str(refused)
    number = re.search(r"[0-9a-f]{12}", refused.got).group()
    told = log.read_text().partition(number)[2].partition("incident")[0]
    return "Traceback" in told and "a secret of the game" in told


def spec(**config):
    return pb.EnvironmentSpec(name="faulty", config_json=json.dumps(config), num_envs=2)


def said(*numbers):
    return {agent: [np.full(2, number)] for agent, number in zip(("left", "right"), numbers, strict=True)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["reset", "step"])
def test_a_fault_of_a_game_is_never_told_as_the_drivers(fault, kind, server, log):
    driver = Driver(server, "faulty", {"fault": fault, "kind": kind}, None, num_envs=2)
    with pytest.raises(Refused) as caught:
        driver.reset(1)
        driver.step(said(0, 1))
    assert caught.value.field == fault
    assert is_an_incident(caught.value, log)
    driver.close()


def test_after_a_fault_the_session_can_be_reset_and_cannot_be_stepped(server):
    driver = Driver(server, "faulty", {"fault": "step"}, None, num_envs=2)
    driver.reset(1)
    with pytest.raises(Refused):
        driver.step(said(0, 1))
    with pytest.raises(Refused, match="NOT_READY"):
        driver.step(said(0, 1))
    assert driver.reset(2).awaited.all()
    driver.close()


def test_what_is_against_a_games_own_rules_is_refused_by_name_and_costs_nothing(server):
    driver = Driver(server, "faulty", {}, None, num_envs=2)
    driver.reset(1)
    with pytest.raises(Refused) as caught:
        driver.step(said(0, 2))
    refused = caught.value
    assert refused.reason == policy_pb2.REASON_OUT_OF_BOUNDS
    assert (refused.field, refused.expected, refused.got) == ("right.action", "0 or 1", "2")
    np.testing.assert_array_equal(driver.step(said(0, 1)).rewards, [[0, 1], [0, 1]])
    driver.close()


def collected(server, minds, **config):
    seats = [seat_pb2.Seat(agent=agent, addresses=[minds]) for agent in ("left", "right")]
    request = rollout_pb2.CollectRequest(
        run="r", environment=spec(**config), seats=seats, num_blocks=20, deadline_us=10_000_000
    )
    with connect_blocking(server) as channel, pytest.raises(grpc.RpcError) as caught:
        list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(request, timeout=60))
    return explain(caught.value, server)


@pytest.mark.parametrize("kind", ["ValueError", "SystemExit"])
@pytest.mark.parametrize("fault", ["reset", "step"])
def test_a_collection_tells_a_fault_of_the_game_as_one(fault, kind, server, minds, log):
    assert is_an_incident(collected(server, minds, fault=fault, kind=kind), log)


@pytest.mark.parametrize("kind", ["KeyError", "SystemExit"])
def test_a_game_that_cannot_be_built_is_an_incident_and_not_the_servers_end(kind, server, minds, log):
    game = spec(fault="build", kind=kind)
    with connect_blocking(server) as channel, pytest.raises(grpc.RpcError) as caught:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        stub.DescribeEnvironment(pb.DescribeEnvironmentRequest(environment=game), timeout=60)
    assert is_an_incident(explain(caught.value, server), log)
    assert is_an_incident(collected(server, minds, fault="build", kind=kind), log)


def test_a_value_that_a_game_does_not_take_when_it_is_built_is_told_and_its_traceback_logged(server, log):
    """It may be a setting or the game's own fault; who looks into the log can tell."""
    with connect_blocking(server) as channel, pytest.raises(grpc.RpcError) as caught:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        game = spec(fault="build", kind="ValueError")
        stub.DescribeEnvironment(pb.DescribeEnvironmentRequest(environment=game), timeout=60)
    refused = explain(caught.value, server)
    assert refused.reason == policy_pb2.REASON_CONFIG and refused.got == "a secret of the game"
    told = log.read_text().partition("faulty is not built")[2]
    assert "Traceback" in told and "in _fail" in told


def test_a_collection_names_the_agent_whose_action_is_against_the_rules(server, minds):
    refused = collected(server, minds)  # random choices: in 20 blocks somebody plays 2
    assert refused.reason == policy_pb2.REASON_OUT_OF_BOUNDS
    assert refused.field in ("left.action", "right.action") and refused.got == "2"


def paid(server, actions, **config):
    request = pb.EvaluatePayoffRequest(environment=spec(**config), actions=to_tensor(np.array(actions, np.float64)))
    with connect_blocking(server) as channel, pytest.raises(grpc.RpcError) as caught:
        environment_pb2_grpc.EnvironmentServiceStub(channel).EvaluatePayoff(request, timeout=60)
    return explain(caught.value, server)


@pytest.mark.parametrize("kind", KINDS)
def test_payoffs_tell_whose_fault_it_is(kind, server, log):
    assert is_an_incident(paid(server, [[[0], [1]]], fault="payoff", kind=kind), log)
    refused = paid(server, [[[0], [2]]])
    assert refused.reason == policy_pb2.REASON_OUT_OF_BOUNDS and refused.expected == "0 or 1"


@pytest.mark.parametrize("fault", ["reset", "step"])
def test_gateways_tell_a_fault_of_the_game_as_one(fault, minds, tmp_path):
    dm, openenv, log = free_address(), free_address(), tmp_path / "server.log"
    game = ["--gateway-environment", "faulty", "--gateway-config", json.dumps({"fault": fault})]
    doors = ["--dm-env-rpc", dm, "--openenv", openenv, "--gateway-seats", f"*={minds}"]
    with Service("env_server", [*GAME, *game, *doors], log=log):
        told = [_told_by_dm_env_rpc(dm), _told_by_openenv(openenv)]
        text = log.read_text()
    for words in told:
        assert "secret" not in words
        number = re.search(r"incident ([0-9a-f]{12})", words).group(1)
        assert "a secret of the game" in text.partition(number)[2].partition("incident")[0]


def _told_by_dm_env_rpc(address):
    with grpc.insecure_channel(address) as channel:
        talk = connection.Connection(channel)
        world = talk.send(official.CreateWorldRequest()).world_name
        with pytest.raises(error.DmEnvRpcError) as caught:
            talk.send(official.JoinWorldRequest(world_name=world))
            action = {1: tensor_utils.pack_tensor(0, dtype=np.int64)}
            for _ in range(2):
                talk.send(official.StepRequest(actions=action, requested_observations=[1]))
    return str(caught.value)


def _told_by_openenv(address):
    body = json.dumps({"action": {"action": 0}}).encode()
    request = urllib.request.Request(f"http://{address}/step", body, {"content-type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=20)
    with caught.value as answer:
        assert answer.code >= 500
        return answer.read().decode()
