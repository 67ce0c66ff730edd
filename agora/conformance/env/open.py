"""What a server tells of its games, and how sessions begin."""

from __future__ import annotations

import json
from collections.abc import Callable

import grpc

from agora.conformance.case import expect, expect_equal
from agora.conformance.env.drive import reset
from agora.conformance.env.subject import Server, ServerTopic
from agora.conformance.refusals import Reason, expect_words
from agora.errors import refusal_in
from agora.v1 import environment_pb2 as pb, policy_pb2

TOPIC = ServerTopic("open")


@TOPIC.case
async def names_are_told(server: Server) -> None:
    """Without a name, DescribeEnvironment tells the names of all games and nothing else."""
    answer = await server.stub.DescribeEnvironment(pb.DescribeEnvironmentRequest(), timeout=server.patience)
    expect(len(answer.names) > 0 and not answer.agents, "names only", f"{len(answer.agents)} agents")


@TOPIC.case
async def agents_are_numbered(server: Server) -> None:
    """Agents have the numbers 0, 1, ... in their order, and ids of their own."""
    agents = server.described.agents
    expect_equal([agent.index for agent in agents], list(range(len(agents))), "numbers")
    ids = [agent.id for agent in agents]
    expect(all(ids) and len(set(ids)) == len(ids), "an id of its own for every agent", ids)


@TOPIC.case
async def spaces_have_leaves(server: Server) -> None:
    """Every agent sees and does something."""
    for pair in server.pairs:
        expect(len(pair.done) > 0, f"{pair.name}: an action", "none")
        expect(len(pair.seen) > 0, f"{pair.name}: an observation", "none")


@TOPIC.case
async def configuration_is_filled_in(server: Server) -> None:
    """The configuration comes back as a JSON object, and builds the same game again."""
    config = json.loads(server.described.config_json)
    expect(isinstance(config, dict), "a JSON object", type(config).__name__)
    spec = server.spec(1)
    spec.config_json = server.described.config_json
    request = pb.DescribeEnvironmentRequest(environment=spec)
    again = await server.stub.DescribeEnvironment(request, timeout=90.0)
    expect_equal(len(again.agents), len(server.described.agents), "agents of the game built again:")


@TOPIC.case
async def texts_are_json(server: Server) -> None:
    """The schema and the facts are JSON objects."""
    for name in ("config_schema_json", "facts_json"):
        value = json.loads(getattr(server.described, name))
        expect(isinstance(value, dict), f"{name}: a JSON object", type(value).__name__)


@TOPIC.case
async def opened_as_described(server: Server) -> None:
    """A session is opened with the agents and spaces that were described."""
    drive = await server.open()
    for mine, told in zip(drive.opened.agents, server.described.agents, strict=True):
        same = mine.SerializeToString(deterministic=True) == told.SerializeToString(deterministic=True)
        expect(same, f"{told.id} as described", "another")
    expect_equal(drive.opened.state_space, server.described.state_space, "state_space")


@TOPIC.case
async def one_copy(server: Server) -> None:
    """A session may have one copy."""
    drive = await server.open(copies=1)
    expect_equal(list((await drive.reset()).rewards.shape), [1, len(server.pairs)], "rewards: shape")


@TOPIC.case
async def versions_in_any_order(server: Server) -> None:
    """A driver that speaks later versions too is served."""
    request = server.opening()
    request.open.protocol_versions[:] = [99, 1]
    answer = await (await server.raw()).ask(request)
    expect_equal(answer.WhichOneof("kind"), "opened", "kind")


async def _refused(server: Server, request: pb.ConnectRequest, reason: Reason | None, field: str | None) -> None:
    drive = await server.raw()
    await drive.refused(request, reason, field)
    answer = await drive.ask(server.opening())
    expect_equal(answer.WhichOneof("kind"), "opened", "after the refusal: kind")


def _wrong(
    name: str, asked: str, reason: Reason | None, field: str | None, change: Callable[[pb.OpenEnvironment], None]
) -> None:
    async def check(server: Server) -> None:
        request = server.opening()
        change(request.open)
        await _refused(server, request, reason, field)

    TOPIC.add(name, f"{asked} is refused, and a good one is taken on the same stream", check)


def _unknown_game(request: pb.OpenEnvironment) -> None:
    request.environment.name = "no such game"


def _torn_config(request: pb.OpenEnvironment) -> None:
    request.environment.config_json = "{"


def _listed_config(request: pb.OpenEnvironment) -> None:
    request.environment.config_json = "[1, 2]"


def _unknown_key(request: pb.OpenEnvironment) -> None:
    request.environment.config_json = '{"no_such_key": 1}'


def _no_copies(request: pb.OpenEnvironment) -> None:
    request.environment.num_envs = 0


def _too_many_copies(request: pb.OpenEnvironment) -> None:
    request.environment.num_envs = 65_537


def _foreign_versions(request: pb.OpenEnvironment) -> None:
    request.protocol_versions[:] = [98, 99]


def _no_versions(request: pb.OpenEnvironment) -> None:
    del request.protocol_versions[:]


def _endless_lease(request: pb.OpenEnvironment) -> None:
    request.lease_seconds = 3601


_wrong("unknown_game", "An unknown game", policy_pb2.REASON_UNKNOWN_ENVIRONMENT, None, _unknown_game)
_wrong("torn_configuration", "A torn configuration", policy_pb2.REASON_CONFIG, None, _torn_config)
_wrong("listed_configuration", "A configuration that is a list", policy_pb2.REASON_CONFIG, None, _listed_config)
_wrong("unknown_key", "An unknown key", policy_pb2.REASON_CONFIG, None, _unknown_key)
_wrong("no_copies", "A session of no copies", policy_pb2.REASON_OUT_OF_BOUNDS, "environment.num_envs", _no_copies)
_wrong(
    "too_many_copies",
    "A session of 65537 copies",
    policy_pb2.REASON_OUT_OF_BOUNDS,
    "environment.num_envs",
    _too_many_copies,
)
_wrong(
    "foreign_versions", "A driver of later versions only", policy_pb2.REASON_PROTOCOL_VERSION, None, _foreign_versions
)
_wrong("no_versions", "A driver that names no version", policy_pb2.REASON_PROTOCOL_VERSION, None, _no_versions)
_wrong("endless_lease", "A lease of 3601 seconds", None, "lease_seconds", _endless_lease)


@TOPIC.case
async def reset_before_open(server: Server) -> None:
    """A reset before the session is open is refused, and the session can still be opened."""
    await _refused(server, reset(1), policy_pb2.REASON_NOT_READY, None)


@TOPIC.case
async def step_before_open(server: Server) -> None:
    """A step before the session is open is refused, and the session can still be opened."""
    await _refused(server, pb.ConnectRequest(step=pb.StepEnvironment()), policy_pb2.REASON_NOT_READY, None)


@TOPIC.case
async def nothing_asked(server: Server) -> None:
    """A request without a kind is refused, and the session can still be opened."""
    await _refused(server, pb.ConnectRequest(), None, None)


@TOPIC.case
async def second_open(server: Server) -> None:
    """A second open is refused, and the session goes on."""
    drive = await server.open()
    await drive.refused(server.opening(), policy_pb2.REASON_NOT_READY)
    await drive.reset()


@TOPIC.case
async def description_of_unknown_game(server: Server) -> None:
    """DescribeEnvironment of an unknown game fails with a refusal in its status."""
    spec = pb.EnvironmentSpec(name="no such game", config_json="{}", num_envs=1)
    try:
        await server.stub.DescribeEnvironment(pb.DescribeEnvironmentRequest(environment=spec), timeout=server.patience)
    except grpc.RpcError as error:
        refused = refusal_in(error)
        expect(refused is not None, "a refusal in the status details", error)
        if refused is not None:
            expect_words(refused.to_proto(), policy_pb2.REASON_UNKNOWN_ENVIRONMENT, None)
        return
    expect(False, "a refusal", "an answer")
