"""Which server describes a game, for how long one is waited for, and what is said meanwhile; the sockets are real."""

import asyncio
import logging
from types import SimpleNamespace

import grpc
import pytest
from gymnasium import spaces

from agora.channels import SERVER_OPTIONS, bind
from agora.errors import Refused, Unavailable
from agora.interceptors import Boundary
from agora.spaces import to_proto
from agora.v1 import environment_pb2, environment_pb2_grpc, policy_pb2, rollout_pb2_grpc
from tests.trainer.test_collector import NOT_BY_THE_CHANNEL, SPEC, Scripted, came
from trainer import collector as module
from trainer.collector import Collector

MOVE = spaces.Discrete(2)
WRONG = Refused(policy_pb2.REASON_CONFIG, "environment.config", "a known game", "chess")


class Describing(environment_pb2_grpc.EnvironmentServiceServicer):
    """Fails so often, then describes."""

    def __init__(self, *failures):
        self.requests, self.failures = [], list(failures)

    async def DescribeEnvironment(self, request, context):
        self.requests.append(request)
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, Refused):
            raise failure
        if failure is not None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, failure, NOT_BY_THE_CHANNEL)
        described = environment_pb2.DescribeEnvironmentResponse(config_json='{"x": 2}', state_space=to_proto(MOVE))
        described.agents.add(id="a", observation_space=to_proto(MOVE), action_space=to_proto(MOVE))
        return described


async def with_servers(servers, scene, patience=60.0):
    listening, addresses = [], []
    for one in servers:
        server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
        if isinstance(one, Describing):
            environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(one, server)
        else:
            rollout_pb2_grpc.add_RolloutServiceServicer_to_server(one, server)
        addresses.append(bind(server, "127.0.0.1:0"))
        await server.start()
        listening.append(server)
    collector = Collector(addresses, {}, run="r", seed=5, deadline=1.5, patience=patience, outcomes_only=True)
    try:
        return await scene(collector), addresses
    finally:
        await collector.close()
        for server in listening:
            await server.stop(None)


def described(servers, patience=60.0):
    return asyncio.run(with_servers(servers, lambda collector: collector.describe("game", '{"x": 1}'), patience))[0]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


def test_the_first_server_describes_the_game():
    servers = [Describing(), Describing()]
    spec = described(servers)
    assert (spec.name, spec.config_json, spec.agents) == ("game", '{"x": 2}', ("a",))
    (request,) = servers[0].requests
    assert request.environment == environment_pb2.EnvironmentSpec(name="game", config_json='{"x": 1}', num_envs=1)
    assert not servers[1].requests


def test_servers_are_asked_in_turn_until_one_answers(caplog):
    servers = [Describing("down", "down"), Describing("down")]
    assert described(servers).agents == ("a",)
    assert [len(server.requests) for server in servers] == [2, 2]
    assert len(caplog.messages) == 3
    assert all(line.startswith("trying again: ") and line.endswith("UNAVAILABLE: down") for line in caplog.messages)


def test_a_game_that_is_refused_is_asked_for_once():
    servers = [Describing(WRONG), Describing()]
    with pytest.raises(Refused, match=r"environment\.config: expected a known game, got chess"):
        described(servers)
    assert not servers[1].requests


def test_a_description_is_waited_for_as_long_as_patience_lasts(monkeypatch):
    """By the clock of this test 4 s pass between one look at it and the next; each try looks twice."""
    now = iter(range(0, 10_000, 4))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    server = Describing(*["down"] * 99)
    with pytest.raises(Unavailable, match=r"no answer for 20 s: .*down"):
        described([server], patience=20.0)
    assert len(server.requests) == 3  # failures are seen at 8, 16 and 24 s


class Slow(Scripted):
    """Plays its first block, and the others when it is told to."""

    def __init__(self):
        super().__init__()
        self.told = asyncio.Event()

    async def Collect(self, request, context):
        async for item in super().Collect(request, context):
            yield item
            if item.segment.last and item.segment.block == request.first_block:
                await self.told.wait()


def test_a_long_game_says_who_has_how_many_blocks_to_play(monkeypatch):
    monkeypatch.setattr(module, "QUIET_SECONDS", 0.0)
    lines = []

    async def scene(collector):
        def say(line, *rest):
            lines.append(line)
            if " 2 of 3 blocks" in line:
                servers[0].told.set()
            if " 1 of 2 blocks" in line:
                servers[1].told.set()

        monkeypatch.setattr(module, "log", SimpleNamespace(info=say, warning=logging.warning))
        return await collector.collect(SPEC, range(4, 9), 1, {}, None)

    async def main():
        servers.extend([Slow(), Slow()])
        monkeypatch.setattr("agora.waiting.LAST_SECONDS", 0.01)
        return await with_servers(servers, scene)

    servers = []
    segments, addresses = asyncio.run(main())
    assert came(segments) == [4, 5, 6, 7, 8]
    assert not servers[0].requests[0].HasField("exploration")
    for number, words in enumerate(("2 of 3", "1 of 2")):
        assert any(
            line.startswith(f"waiting for {addresses[number]} to play {words} blocks of game (") for line in lines
        )
