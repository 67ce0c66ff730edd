"""Hosted environments in the server, played by real agent services over real sockets."""

import json
import os
import signal
import urllib.request
import warnings

import grpc
import numpy as np
import psutil
import pytest

from agora.channels import connect_blocking
from agora.codec import from_tensor
from agora.errors import Refused, explain
from agora.v1 import environment_pb2 as env_pb, policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc, seat_pb2
from bench.processes import Service, free_address
from deploy.cli import main
from env_server.rollout.runner import Block
from tests.env_server.pettingzoo.conftest import ZOO, seed_of

METRICS = free_address().rpartition(":")[2]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("server") / "log"


@pytest.fixture(scope="module")
def server(log):
    arguments = ["--pettingzoo-module", ZOO, "--metrics-port", METRICS]
    with Service("env_server", arguments, log=log) as service:
        yield service


@pytest.fixture(scope="module")
def mind():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


def request(mind, source, agents, copies=4, config="{}", **fields):
    return pb.CollectRequest(
        environment=env_pb.EnvironmentSpec(name=f"pettingzoo:{source}", config_json=config, num_envs=copies),
        seats=[seat_pb2.Seat(agent=agent, addresses=[mind]) for agent in agents],
        **{"num_blocks": 1, "seed": 5, "deadline_us": 20_000_000, **fields},
    )


def collect(server, mind, source, agents, **fields):
    message = request(mind, source, agents, **fields)
    with connect_blocking(server.address) as channel:
        try:
            items = list(rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=100))
        except grpc.RpcError as error:
            raise explain(error, server.address) from error
    return [item.segment for item in items[:-1]]


def test_a_parallel_environment_is_played_and_the_original_replays_it(server, mind):
    from mpe2 import simple_adversary_v3

    agents = ["adversary_0", "agent_0", "agent_1"]
    source = "mpe2.simple_adversary_v3?N=2&max_cycles=10&continuous_actions=true&dynamic_rescaling=true"
    (segment,) = collect(server, mind, source, agents)
    assert segment.steps == 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env = simple_adversary_v3.parallel_env(N=2, max_cycles=10, continuous_actions=True, dynamic_rescaling=True)
    said = [from_tensor(agent.action[0]) for agent in segment.agents]
    paid = [from_tensor(agent.reward) for agent in segment.agents]
    seen = [from_tensor(agent.observation[0]) for agent in segment.agents]
    for copy in range(4):
        first, _ = env.reset(seed=seed_of(Block(5, 0).environment_seed, copy))
        assert all(np.array_equal(first[agent], seen[i][0, copy]) for i, agent in enumerate(agents))
        for t in range(10):
            now, rewards, _, truncated, _ = env.step({agent: said[i][t, copy] for i, agent in enumerate(agents)})
            for i, agent in enumerate(agents):
                assert rewards[agent] == paid[i][t, copy] and np.array_equal(now[agent], seen[i][t + 1, copy])
                assert truncated[agent] == from_tensor(segment.agents[i].truncated)[t, copy]


def test_a_turn_based_environment_is_played_under_its_masks(server, mind):
    agents = ["player_0", "player_1"]
    (segment,) = collect(server, mind, "pettingzoo.classic.connect_four_v3", agents, copies=8)
    acted = np.stack([from_tensor(agent.acted) for agent in segment.agents])
    assert (acted.sum(axis=0) <= 1).all()
    assert (acted[0, ::2] >= acted[1, ::2]).all() and not acted[1, 0].any()  # they take turns
    totals = np.stack([from_tensor(agent.reward).sum(axis=0) for agent in segment.agents])
    # One wins what the other loses; an illegal move would cost its player alone.
    assert not totals.sum(axis=0).any() and set(totals.ravel()) <= {-1.0, 0.0, 1.0}
    for agent in segment.agents:
        assert (from_tensor(agent.terminated).sum(axis=0) == 1).all()


def test_agents_that_come_and_go_are_asked_while_they_are_there(server, mind):
    (segment,) = collect(server, mind, f"{ZOO}:Meadow?days=5", ["cow", "dog", "lamb"], copies=3)
    acted = [from_tensor(agent.acted)[:, 0].tolist() for agent in segment.agents]
    assert acted == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]


def test_failures_are_counted_and_logged_and_the_rollout_goes_on(server, mind, log):
    (segment,) = collect(server, mind, f"{ZOO}:Faulty?kind=step", ["one", "two"], copies=6)
    odd = [seed_of(Block(5, 0).environment_seed, copy) % 2 for copy in range(6)]
    assert 0 < sum(odd) < 6
    assert from_tensor(segment.agents[0].truncated)[1].tolist() == [bool(o) for o in odd]
    assert from_tensor(segment.agents[1].reward).sum(axis=0).tolist() == [1 if o else 4 for o in odd]
    with urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics") as page:
        lines = page.read().decode().splitlines()
    (count,) = (line for line in lines if line.startswith("agora_environment_failures_total "))
    assert float(count.split()[-1]) == sum(odd)
    said = log.read_text()
    assert f"copy={odd.index(1)} agent=- step=1 times=1" in said and "KeyError: 'no step today'" in said


def test_a_killed_process_refuses_the_block_and_the_next_collection_has_another(server, mind):
    agents = ["agent_0", "agent_1"]
    source, config = "mpe2.simple_spread_v3?N=2&max_cycles=5", '{"workers": 2}'
    parent = psutil.Process(server.process.pid)
    before = {child.pid for child in parent.children()}
    message = request(mind, source, agents, config=config, num_blocks=100_000)
    with connect_blocking(server.address) as channel, pytest.raises(grpc.RpcError) as caught:
        for item in rollout_pb2_grpc.RolloutServiceStub(channel).Collect(message, timeout=100):
            if item.segment.block == 1:  # once answers have come, the channel does not try again by itself
                new = {child.pid for child in parent.children()} - before
                os.kill(max(new), signal.SIGKILL)
    refusal = explain(caught.value, server.address)
    assert isinstance(refusal, Refused) and refusal.reason == policy_pb2.REASON_UNREACHABLE and refusal.retryable
    assert "exit code -9" in str(refusal)
    (segment,) = collect(server, mind, source, agents, config=config)
    assert segment.steps == 5


def test_what_is_not_allowed_is_refused_over_the_wire(server, mind):
    with pytest.raises(Refused) as caught:
        collect(server, mind, "os:system?command=true", ["one"])
    assert caught.value.reason == policy_pb2.REASON_UNKNOWN_ENVIRONMENT


def test_agora_plays_it_by_its_name(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["play", "pettingzoo:mpe2.simple_adversary_v3?N=2&max_cycles=5", "--copies", "3", "--json"])
    assert caught.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 15 and set(told["returns"]) == {"adversary_0", "agent_0", "agent_1"}
