"""Who is asked for which blocks, and what becomes of those that did not come.

The environment servers follow a script, so that each fails where a test wants it; the sockets are real.
"""

import asyncio
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
from gymnasium import spaces

from agora.channels import SERVER_OPTIONS, bind
from agora.codec import to_tensor
from agora.errors import Refused, Unavailable
from agora.interceptors import Boundary
from agora.v1 import policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc
from trainer import collector as module
from trainer.collector import Collector
from trainer.exploration import Explore
from trainer.spec import GameSpec

SPEC = GameSpec("game", '{"x": 1}', ("a", "b"), (spaces.Discrete(2),) * 2, (spaces.Discrete(2),) * 2, None, False, {})
FAULT = Refused(policy_pb2.REASON_CONFIG, "environment.config", "another", "this")
NOT_BY_THE_CHANNEL = (("grpc-retry-pushback-ms", "-1"),)
"""Channels try again by themselves where nothing came yet, which the script does not count with."""
GONE = "gone"
HALF = "half"


def part(block, last=True):
    """One step of one copy, in which everyone is paid the block's number."""
    shape = (1, 1)
    agent = pb.AgentTrajectory(
        log_prob=to_tensor(np.zeros(shape, np.float32)),
        reward=to_tensor(np.full(shape, float(block))),
        terminated=to_tensor(np.zeros(shape, bool)),
        truncated=to_tensor(np.full(shape, last)),
        acted=to_tensor(np.ones(shape, np.uint8)),
        version=to_tensor(np.zeros((*shape, 2), np.uint64)),
    )
    return pb.CollectResponse(segment=pb.Segment(block=block, steps=1, num_envs=1, last=last, agents=[agent, agent]))


class Scripted(rollout_pb2_grpc.RolloutServiceServicer):
    """Plays what it is asked for; at each call as many blocks, and then what, as the script says. Then all."""

    def __init__(self, *script):
        self.requests, self.script = [], list(script)

    async def Collect(self, request, context):
        self.requests.append(request)
        most, then = self.script.pop(0) if self.script else (request.num_blocks, None)
        blocks = range(request.first_block, request.first_block + request.num_blocks)
        for block in blocks[:most]:
            yield part(block, last=False)
            yield part(block)
        if then == HALF:
            yield part(blocks[most], last=False)
        if isinstance(then, Refused):
            raise then
        if then is not None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "a server that dies", NOT_BY_THE_CHANNEL)

    @property
    def asked(self):
        return [list(range(r.first_block, r.first_block + r.num_blocks)) for r in self.requests]


def collected(servers, blocks, patience=60.0, **changes):
    async def play():
        listening, addresses = [], []
        for one in servers:
            server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
            rollout_pb2_grpc.add_RolloutServiceServicer_to_server(one, server)
            addresses.append(bind(server, "127.0.0.1:0"))
            await server.start()
            listening.append(server)
        settings = {"run": "r", "seed": 5, "deadline": 1.5, "patience": patience, "outcomes_only": True} | changes
        collector = Collector(addresses, {"a": ["here", "there"]}, **settings)
        try:
            return await collector.collect(SPEC, blocks, 3, {"b": (2, 7)}, Explore(0.1, 0.2, True))
        finally:
            await collector.close()
            for server in listening:
                await server.stop(None)

    return asyncio.run(play())


def came(segments):
    """Each block's two parts, in order, once."""
    assert [segment.last for segment in segments] == [False, True] * (len(segments) // 2)
    assert all(segment.agents[1].reward.item() == segment.block for segment in segments)
    return [segment.block for segment in segments[1::2]]


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


def test_a_round_is_shared_by_all_servers():
    servers = [Scripted(), Scripted(), Scripted()]
    assert came(collected(servers, range(2, 10))) == list(range(2, 10))
    assert [server.asked for server in servers] == [[[2, 3, 4]], [[5, 6, 7]], [[8, 9]]]


def test_fewer_blocks_than_servers():
    servers = [Scripted(), Scripted()]
    assert came(collected(servers, [4])) == [4]
    assert [server.asked for server in servers] == [[[4]], []]


def test_what_did_not_come_is_asked_of_the_others_and_what_did_is_not_asked_for_again():
    dying, well = Scripted((1, HALF), (0, GONE), (0, GONE)), Scripted()
    assert came(collected([dying, well], range(6))) == list(range(6))
    assert dying.asked[0] == [0, 1, 2] and well.asked[0] == [3, 4, 5]
    assert well.asked[1] == [1] and dying.asked[1] == [2]  # they take turns
    assert sorted(block for asked in well.asked for block in asked) == [1, 2, 3, 4, 5]


def test_holes_are_asked_for_as_runs_without_gaps():
    first, second = Scripted((1, GONE)), Scripted((1, GONE))
    assert came(collected([first, second], range(6))) == list(range(6))
    assert first.asked[:1] == [[0, 1, 2]] and second.asked[:1] == [[3, 4, 5]]  # 0 and 3 come
    assert second.asked[1] == [1, 2] and first.asked[1] == [4, 5]


def test_what_is_refused_is_not_asked_again():
    server = Scripted((1, FAULT))
    with pytest.raises(Refused, match=r"environment\.config: expected another, got this"):
        collected([server], range(3))
    assert len(server.requests) == 1


def test_what_may_be_tried_again_is():
    busy = Refused(policy_pb2.REASON_NOT_READY, "seats", "a service that is ready", "one that is not", retryable=True)
    server = Scripted((1, busy))
    assert came(collected([server], range(3))) == [0, 1, 2]
    assert server.asked == [[0, 1, 2], [1, 2]]


def test_patience_begins_anew_with_every_block_that_comes(monkeypatch):
    """By the clock of this test 4 s pass between one look at it and the next."""
    now = iter(range(0, 10_000, 4))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(now)))
    slow = Scripted(*[(1, GONE)] * 5)
    assert came(collected([slow], range(6), patience=5.0)) == list(range(6))
    stuck = Scripted(*[(0, GONE)] * 99)
    with pytest.raises(Unavailable, match=r"no answer for 5 s: .*a server that dies"):
        collected([stuck], range(6), patience=5.0)
    assert len(stuck.requests) == 2


def test_a_server_is_told_everything_that_makes_the_round():
    server = Scripted()
    collected([server], [7], log=False)
    collected([server], [7], log=True, outcomes_only=True, run="other")
    first, second = server.requests
    assert (first.run, first.seed, first.deadline_us, first.fallback) == ("r", 5, 1_500_000, pb.FALLBACK_ABORT)
    assert (first.log, second.log, first.outcomes_only, second.run) == (False, True, True, "other")
    assert (first.environment.name, first.environment.config_json, first.environment.num_envs) == (
        "game",
        '{"x": 1}',
        3,
    )
    explored = first.exploration
    assert (round(explored.noise_scale, 6), round(explored.epsilon, 6), explored.unilateral) == (0.1, 0.2, True)
    a, b = first.seats
    assert (a.agent, list(a.addresses), a.HasField("policy")) == ("a", ["here", "there"], False)
    assert (b.agent, list(b.addresses), b.policy.policy_id) == ("b", [], "b")
    assert b.policy.exact_version == policy_pb2.PolicyVersion(epoch=2, step=7)


def test_the_newest_or_none_may_be_asked_for():
    reference = module._reference("b", (2, 7), newest=True)
    assert reference.min_version == policy_pb2.PolicyVersion(epoch=2, step=7)
    assert not reference.HasField("exact_version")
    assert not module._reference("b", (2, 7), newest=False).HasField("min_version")
