"""Requests are answered in order, and sessions do not touch one another."""

from __future__ import annotations

import asyncio

from agora.conformance.case import expect, expect_equal
from agora.conformance.doors import plain_channel
from agora.conformance.env.drive import reset, same_bytes, transition_in
from agora.conformance.env.subject import SHORT, Server, ServerTopic
from agora.conformance.line import within
from agora.v1 import environment_pb2 as pb

TOPIC = ServerTopic("order")


@TOPIC.case
async def flight_is_answered_in_order(server: Server) -> None:
    """Requests that are sent without waiting are answered in order, good and bad ones."""
    drive = await server.open()
    shown = await drive.reset(3)
    requests = [pb.ConnectRequest(renew=pb.RenewLease()), pb.ConnectRequest(step=drive.actions(shown))]
    requests += [pb.ConnectRequest(step=pb.StepEnvironment()), reset(4), reset(2**63)]
    for request in requests:
        await drive.write(request)
    kinds = [(await drive.hear()).WhichOneof("kind") for _ in requests]
    expect_equal(kinds, ["renewed", "transition", "refusal", "transition", "refusal"], "kinds of answers")


@TOPIC.case
async def flight_plays_as_one_by_one(server: Server) -> None:
    """Resets in flight show what they show one by one."""
    drive = await server.open()
    expected = [await drive.reset(seed) for seed in range(5)]
    for seed in range(5):
        await drive.write(reset(seed))
    same_bytes([transition_in(await drive.hear()) for _ in range(5)], expected, "in flight as one by one")


@TOPIC.case
async def sessions_in_turn(server: Server) -> None:
    """Two sessions that are stepped in turn play as each would alone."""
    alone = await (await server.open()).play(3, SHORT)
    one, other = await server.open(), await server.open()
    shown, theirs = [await one.reset(3)], await other.reset(8)
    for number in range(len(alone) - 1):
        shown.append(await one.step(one.actions(shown[-1], number)))
        if number < 2:
            theirs = await other.step(other.actions(theirs, 60 + number))
    same_bytes(shown, alone, "beside another session")


@TOPIC.case
async def sessions_at_once(server: Server) -> None:
    """Eight sessions at once play as each would alone."""
    alone = await (await server.open()).play(3, SHORT)
    drives = [await server.open() for _ in range(8)]
    for shown in await asyncio.gather(*(drive.play(3, SHORT) for drive in drives)):
        same_bytes(shown, alone, "beside others")


@TOPIC.case
async def end_without_open(server: Server) -> None:
    """A stream that says nothing ends without an error."""
    drive = await server.raw()
    await drive.half_close()
    await drive.ended()


@TOPIC.case
async def end_of_a_session(server: Server) -> None:
    """A session that its driver closes ends without an error."""
    drive = await server.open()
    await drive.reset()
    await drive.half_close()
    await drive.ended()


@TOPIC.case
async def broken_sessions_are_given_back(server: Server) -> None:
    """A hundred sessions that break one after the other leave room for the next."""
    for _ in range(100):
        await server.open(copies=1)
        await server.rest()
    await (await server.open()).reset()


@TOPIC.case
async def renewed_between_steps(server: Server) -> None:
    """A renewed lease does not change the game."""
    expected = await (await server.open()).play(3, 2)
    drive = await server.open()
    shown = [await drive.reset(3)]
    for number in range(len(expected) - 1):
        answer = await drive.ask(pb.ConnectRequest(renew=pb.RenewLease()))
        expect_equal(answer.WhichOneof("kind"), "renewed", "kind")
        shown.append(await drive.step(drive.actions(shown[-1], number)))
    same_bytes(shown, expected, "with renewals between")


@TOPIC.case
async def garbage_ends_its_own_call_only(server: Server) -> None:
    """Bytes that are no message end their call with an error, and the server goes on."""
    drive = await server.open()
    async with plain_channel(server.name) as channel:
        call = channel.stream_stream("/agora.v1.EnvironmentService/Connect")()  # type: ignore[var-annotated]
        await call.write(b"\xff\xff\xff\xff")
        await call.done_writing()
        code = await within(call.code(), server.patience, "the end of the call")
    expect(code.name != "OK", "an error", code.name)
    await drive.reset()
