"""Answers come in time, and exactly one for each frame."""

from __future__ import annotations

import asyncio
import time

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import expect, expect_equal
from agora.conformance.talk import expect_same
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("deadlines")
DEADLINE = 1.0
"""Seconds that each frame allows here."""


@TOPIC.case
async def answer_before_the_deadline(agent: Agent) -> None:
    """A frame of four rows is answered within its deadline of a second."""
    talk = await agent.open()
    for key in range(3):
        start = time.monotonic()
        await talk.decide(talk.frame(key=key, deadline=DEADLINE))
        taken = time.monotonic() - start
        expect(taken <= DEADLINE, f"an answer within {DEADLINE:g} s", f"one after {taken:.3f} s")


@TOPIC.case
async def no_deadline(agent: Agent) -> None:
    """A frame without a deadline is answered."""
    talk = await agent.open()
    frame = talk.frame(deadline=0.0)
    await talk.decide(frame)


@TOPIC.case
async def largest_deadline(agent: Agent) -> None:
    """The longest deadline there is does no harm."""
    talk = await agent.open()
    frame = talk.frame()
    frame.deadline_us = 2**64 - 1
    await talk.decide(frame)


@TOPIC.case
async def hopeless_deadline(agent: Agent) -> None:
    """A frame whose deadline is a microsecond gets one answer all the same, and so does the next."""
    talk = await agent.open()
    hopeless, good = talk.frame(), talk.frame()
    hopeless.deadline_us = 1
    for frame in (hopeless, good):
        answer = await talk.ask(frame)
        refused = answer.WhichOneof("kind") == "refusal"
        number = answer.refusal.sequence if refused else answer.decisions.sequence
        expect_equal(number, frame.sequence, "sequence")


@TOPIC.case
async def deadline_changes_nothing(agent: Agent) -> None:
    """What is answered does not depend on the deadline."""
    talk = await agent.open()
    expected = await talk.decide(talk.frame(deadline=3.0))
    expect_same(await talk.decide(talk.frame(deadline=0.0)), expected, "whatever the deadline")


@TOPIC.case
async def flight_before_the_deadline(agent: Agent) -> None:
    """Ten frames in flight are all answered within the deadline."""
    talk = await agent.open()
    start = time.monotonic()
    for key in range(10):
        await talk.say(talk.frame(key=key, deadline=2 * DEADLINE))
    for _ in range(10):
        await talk.hear()
    taken = time.monotonic() - start
    expect(taken <= 2 * DEADLINE, f"all answers within {2 * DEADLINE:g} s", f"the last after {taken:.3f} s")


@TOPIC.case
async def idle_stream_lives(agent: Agent) -> None:
    """A stream on which nothing is asked for a while lives on."""
    talk = await agent.open()
    await asyncio.sleep(0.3)
    await talk.decide(talk.frame())


@TOPIC.case
async def waiting_frame_holds_up_nobody(agent: Agent) -> None:
    """While one stream waits for a version that does not come, another is answered."""
    waiting, other = await agent.open(), await agent.open()
    frame = waiting.frame(deadline=DEADLINE)
    frame.agents[0].policy.min_version.epoch = 2**63
    await waiting.say(frame)
    start = time.monotonic()
    await other.decide(other.frame())
    taken = time.monotonic() - start
    expect(taken <= DEADLINE, f"an answer within {DEADLINE:g} s", f"one after {taken:.3f} s")
    answer: pb.ActResponse = await waiting.hear()
    expect_equal(answer.WhichOneof("kind"), "refusal", "the answer's kind")
