"""A session outlives its driver's silence for its lease, and no longer."""

from __future__ import annotations

import asyncio

from agora.conformance.case import expect, expect_equal
from agora.conformance.env.drive import Drive
from agora.conformance.env.subject import Server, ServerTopic
from agora.conformance.refusals import expect_words
from agora.v1 import environment_pb2 as pb, policy_pb2

TOPIC = ServerTopic("lease")
RENEW = pb.ConnectRequest(renew=pb.RenewLease())


@TOPIC.case
async def renewal_tells_the_lease(server: Server) -> None:
    """A renewal tells for how long the session is kept."""
    drive = await server.open(lease=42)
    answer = await drive.ask(RENEW)
    expect_equal(answer.renewed.lease_seconds, 42, "lease_seconds")


@TOPIC.case
async def a_minute_unless_told_otherwise(server: Server) -> None:
    """A session that asks for no lease has one of 60 seconds."""
    answer = await (await server.open()).ask(RENEW)
    expect_equal(answer.renewed.lease_seconds, 60, "lease_seconds")


@TOPIC.case
async def renewal_before_open(server: Server) -> None:
    """A renewal before the session is open is refused."""
    await (await server.raw()).refused(RENEW, policy_pb2.REASON_NOT_READY)


@TOPIC.case
async def silence_ends_the_session(server: Server) -> None:
    """A driver that says nothing for longer than its lease is told so, and the stream ends."""
    drive = await server.open(lease=1)
    await drive.reset()
    await _told_of_the_end(drive)


async def _told_of_the_end(drive: Drive) -> None:
    answer = await drive.hear(drive.patience + 1.0)
    expect_equal(answer.WhichOneof("kind"), "refusal", "the answer's kind")
    expect_words(answer.refusal, policy_pb2.REASON_LEASE, None)
    await drive.ended()


@TOPIC.case
async def silence_before_the_reset_ends_it(server: Server) -> None:
    """The lease runs from the moment in which the session is opened."""
    await _told_of_the_end(await server.open(lease=1))


@TOPIC.case
async def renewals_keep_the_session(server: Server) -> None:
    """A driver that renews its lease in time keeps the session."""
    drive = await server.open(lease=1)
    await drive.reset()
    for _ in range(5):
        await asyncio.sleep(0.4)
        expect_equal((await drive.ask(RENEW)).WhichOneof("kind"), "renewed", "kind")
    await drive.reset()


@TOPIC.case
async def every_request_renews(server: Server) -> None:
    """Resets keep the session as renewals do, refused ones too."""
    drive = await server.open(lease=1)
    for _ in range(2):
        await asyncio.sleep(0.4)
        await drive.reset()
        await asyncio.sleep(0.4)
        await drive.refused(pb.ConnectRequest(step=pb.StepEnvironment()))
    await drive.reset()


@TOPIC.case
async def other_sessions_go_on(server: Server) -> None:
    """The end of one session's lease does not touch another."""
    silent, other = await server.open(lease=1), await server.open()
    await other.reset()
    await _told_of_the_end(silent)
    answer = await other.reset()
    expect(len(answer.agents) == len(server.pairs), f"{len(server.pairs)} agents shown", len(answer.agents))
