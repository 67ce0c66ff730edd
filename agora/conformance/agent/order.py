"""Every frame is answered once, in order, under its own number."""

from __future__ import annotations

import numpy as np

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import expect, expect_equal
from agora.conformance.talk import Talk, decisions_in, expect_same
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("order")
FLIGHT = 20
"""Frames in flight at once."""


def _broken(talk: Talk) -> pb.DecisionsRequest:
    """A frame that must be refused."""
    frame = talk.frame()
    frame.agents[0].copies = b"123"
    return frame


def _number(answer: pb.ActResponse) -> int:
    refused = answer.WhichOneof("kind") == "refusal"
    return answer.refusal.sequence if refused else answer.decisions.sequence


@TOPIC.case
async def number_is_echoed(agent: Agent) -> None:
    """An answer carries its frame's number."""
    talk = await agent.open()
    for _ in range(3):
        frame = talk.frame()
        expect_equal((await talk.decide(frame)).sequence, frame.sequence, "sequence")


async def _echoes(agent: Agent, *numbers: int) -> None:
    talk = await agent.open()
    for number in numbers:
        frame = talk.frame()
        frame.sequence = number
        expect_equal((await talk.decide(frame)).sequence, number, "sequence")


@TOPIC.case
async def numbers_have_gaps(agent: Agent) -> None:
    """Numbers that were skipped do no harm."""
    await _echoes(agent, 1, 5, 1000)


@TOPIC.case
async def first_number_is_any(agent: Agent) -> None:
    """A stream need not begin at 1: after a broken one the numbers go on."""
    await _echoes(agent, 812, 813)


@TOPIC.case
async def number_zero(agent: Agent) -> None:
    """A frame with number 0 is answered under it."""
    await _echoes(agent, 0)


@TOPIC.case
async def largest_number(agent: Agent) -> None:
    """The largest number there is comes back unharmed."""
    await _echoes(agent, 2**64 - 1)


@TOPIC.case
async def repeated_number_is_answered_again(agent: Agent) -> None:
    """A frame that is sent twice is answered twice, with the same bytes."""
    talk = await agent.open()
    frame = talk.frame()
    first, second = await talk.decide(frame), await talk.decide(frame)
    expect_equal(second.sequence, first.sequence, "sequence")
    expect_same(second, first, "for the same frame")


@TOPIC.case
async def flight_is_answered_in_order(agent: Agent) -> None:
    """Frames that are sent without waiting are answered in order."""
    talk = await agent.open()
    frames = [talk.frame(range(1 + number % 3), key=number) for number in range(FLIGHT)]
    for frame in frames:
        await talk.say(frame)
    numbers = [_number(await talk.hear()) for _ in frames]
    expect_equal(numbers, [frame.sequence for frame in frames], "numbers")


@TOPIC.case
async def flight_is_answered_each_by_its_own(agent: Agent) -> None:
    """Frames in flight get the answers that they get one by one."""
    talk = await agent.open()
    frames = [talk.frame(range(1 + number % 4), key=number) for number in range(FLIGHT)]
    alone = [await talk.decide(frame) for frame in frames]
    for frame in frames:
        await talk.say(frame)
    for expected in alone:
        expect_same(decisions_in(await talk.hear()), expected, "in flight as alone")


@TOPIC.case
async def refusals_keep_the_order(agent: Agent) -> None:
    """Good and bad frames in flight are answered in order, each once."""
    talk = await agent.open()
    frames = [_broken(talk) if number % 2 else talk.frame() for number in range(8)]
    for frame in frames:
        await talk.say(frame)
    answers = [await talk.hear() for _ in frames]
    expect_equal([_number(answer) for answer in answers], [frame.sequence for frame in frames], "numbers")
    kinds = [answer.WhichOneof("kind") for answer in answers]
    expect_equal(kinds, ["decisions", "refusal"] * 4, "kinds of answers")


@TOPIC.case
async def frames_need_not_wait_for_the_welcome(agent: Agent) -> None:
    """A frame that is sent right behind the hello is answered behind the welcome."""
    talk = await agent.raw()
    await talk.say(pb.ActRequest(hello=agent.hello()))
    await talk.say(talk.frame())
    kinds = [(await talk.hear()).WhichOneof("kind") for _ in range(2)]
    expect_equal(kinds, ["welcome", "decisions"], "kinds of answers")


@TOPIC.case
async def nothing_comes_unasked(agent: Agent) -> None:
    """An agent says nothing that it was not asked."""
    talk = await agent.open()
    await talk.decide(talk.frame())
    frame = talk.frame()
    await talk.say(frame)
    answer = await talk.hear()
    expect_equal(_number(answer), frame.sequence, "the next answer's number")


@TOPIC.case
async def streams_keep_their_numbers_apart(agent: Agent) -> None:
    """Two streams, asked in turn, are answered each under its own numbers."""
    one, other = await agent.open(), await agent.open()
    for number in (10, 11):
        first, second = one.frame(), other.frame()
        first.sequence, second.sequence = number, 7 * number
        await one.say(first)
        await other.say(second)
        expect_equal(_number(await other.hear()), 7 * number, "sequence")
        expect_equal(_number(await one.hear()), number, "sequence")


@TOPIC.recommended
async def large_frame(agent: Agent) -> None:
    """A frame of several megabytes is answered."""
    talk = await agent.open()
    bytes_per_row = sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in agent.home.seen)
    rows = min(60_000, 5_000_000 // max(bytes_per_row, 1))
    answer = await talk.decide(talk.frame(range(rows)))
    expect(answer.agents[0].action[0].shape[0] == rows, f"{rows} rows", list(answer.agents[0].action[0].shape))
