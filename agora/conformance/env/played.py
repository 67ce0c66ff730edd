"""Agents that services play in a session."""

from __future__ import annotations

from collections.abc import Sequence

from agora.codec import from_tensor
from agora.conformance.case import NotApplicable, expect, expect_equal
from agora.conformance.env.drive import Drive, same_bytes
from agora.conformance.env.subject import BUILD_SECONDS, COPIES, SHORT, Server, ServerTopic
from agora.conformance.env.views import expect_flags, expect_views
from agora.conformance.refusals import expect_words
from agora.v1 import environment_pb2 as pb, policy_pb2, seat_pb2

TOPIC = ServerTopic("played")


async def _others(server: Server, driven: int = 0) -> list[seat_pb2.Seat]:
    return [await server.seat(index) for index in range(len(server.pairs)) if index != driven]


async def _open(server: Server, driven: int = 0) -> Drive:
    return await server.open(played=await _others(server, driven))


@TOPIC.case
async def others_are_played(server: Server) -> None:
    """A driver of one agent plays against services."""
    drive = await _open(server)
    shown = await drive.play(1, SHORT)
    expect(len(shown) > 1, "steps", "none")
    for transition in shown:
        expect_flags(transition, COPIES, len(server.pairs))


@TOPIC.case
async def the_last_agent_drives(server: Server) -> None:
    """Any agent may be the driver's."""
    drive = await _open(server, len(server.pairs) - 1)
    await drive.play(1, SHORT)


@TOPIC.case
async def played_agents_show_nothing(server: Server) -> None:
    """What agents see whom services play stays there."""
    drive = await _open(server)
    for shown in await drive.play(1, SHORT):
        expect_views(server, shown, COPIES, played=range(1, len(server.pairs)))


@TOPIC.case
async def played_agents_are_not_awaited(server: Server) -> None:
    """The driver is awaited for its own agents only."""
    drive = await _open(server)
    for shown in await drive.play(1, SHORT):
        awaited = from_tensor(shown.awaited)[:, 1:]
        expect(not awaited.any(), "no played agent awaited", awaited.tolist())


@TOPIC.case
async def play_is_a_function_of_the_seed(server: Server) -> None:
    """The same seed and actions show the same bytes, services included."""
    one, other = await _open(server), await _open(server)
    await other.play(99, 2, key=50)
    same_bytes(await other.play(7, SHORT), await one.play(7, SHORT), "in another session")


async def _refused(server: Server, played: Sequence[seat_pb2.Seat], reason: policy_pb2.Reason.ValueType) -> None:
    drive = await server.raw()
    answer = await drive.ask(server.opening(played=played), BUILD_SECONDS)
    expect_equal(answer.WhichOneof("kind"), "refusal", "kind")
    expect_words(answer.refusal, reason, None)
    answer = await drive.ask(server.opening())
    expect_equal(answer.WhichOneof("kind"), "opened", "after the refusal: kind")


@TOPIC.case
async def unknown_agent(server: Server) -> None:
    """A seat for an agent that the game does not have is refused, and a good session can be opened."""
    seat = await server.seat(0)
    seat.agent = "no such agent"
    await _refused(server, [seat], policy_pb2.REASON_UNKNOWN_AGENT)


@TOPIC.case
async def doubled_agent(server: Server) -> None:
    """Two seats for one agent are refused, and a good session can be opened."""
    seat = await server.seat(1)
    await _refused(server, [seat, seat], policy_pb2.REASON_UNKNOWN_AGENT)


@TOPIC.case
async def nobody_is_left_to_drive(server: Server) -> None:
    """A session in which services play everyone is refused."""
    seats = [await server.seat(index) for index in range(len(server.pairs))]
    answer = await (await server.raw()).ask(server.opening(played=seats), BUILD_SECONDS)
    expect_equal(answer.WhichOneof("kind"), "refusal", "kind")
    expect_words(answer.refusal, None, None)


@TOPIC.case
async def service_that_is_not_there(server: Server) -> None:
    """A seat at an address where nobody listens is refused as UNREACHABLE, within the time that services have."""
    request = server.opening(played=[await server.seat(1, address="127.0.0.1:1")])
    request.open.deadline_us = 300_000
    answer = await (await server.raw()).ask(request, BUILD_SECONDS)
    expect_equal(answer.WhichOneof("kind"), "refusal", "kind")
    expect_words(answer.refusal, policy_pb2.REASON_UNREACHABLE, None)


@TOPIC.case
async def actions_for_played_agents(server: Server) -> None:
    """An action that the driver sends for a played agent is refused, and the session goes on."""
    drive = await _open(server)
    shown = await drive.reset()
    good, bad = drive.actions(shown), drive.actions(shown)
    if not good.agents[0].action:
        raise NotApplicable("the driver's agent shows nothing")
    bad.agents[1].action.extend(good.agents[0].action)
    await drive.refused(pb.ConnectRequest(step=bad), None, "agents[1].action")
    await drive.step(good)
