"""Streams break and end; nothing that an answer depends on is lost with them."""

from __future__ import annotations

import asyncio

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import expect_equal
from agora.conformance.doors import plain_channel
from agora.conformance.line import within
from agora.conformance.talk import Talk, expect_same
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("resume")


async def _wanted(agent: Agent) -> tuple[pb.DecisionsRequest, pb.Decisions]:
    talk = await agent.open()
    frame = talk.frame(key=9)
    return frame, await talk.decide(frame)


@TOPIC.case
async def same_frame_on_a_new_stream(agent: Agent) -> None:
    """After a stream broke, the same frame on a new one gets the same bytes."""
    frame, expected = await _wanted(agent)
    await agent.rest()
    talk = await agent.open()
    expect_same(await talk.decide(frame), expected, "on a new stream")


@TOPIC.case
async def broken_while_a_frame_is_in_flight(agent: Agent) -> None:
    """A stream that breaks before the answer does no harm: the frame is answered on the next."""
    frame, expected = await _wanted(agent)
    broken = await agent.open()
    await broken.say(frame)
    broken.hang_up()
    talk = await agent.open()
    expect_same(await talk.decide(frame), expected, "on the next stream")


@TOPIC.case
async def broken_before_the_hello(agent: Agent) -> None:
    """A stream that breaks before its hello does no harm."""
    (await agent.raw()).hang_up()
    await _wanted(agent)


@TOPIC.case
async def broken_right_after_the_hello(agent: Agent) -> None:
    """A stream that breaks before its welcome does no harm."""
    talk = await agent.raw()
    await talk.say(pb.ActRequest(hello=agent.hello()))
    talk.hang_up()
    await _wanted(agent)


@TOPIC.case
async def broken_again_and_again(agent: Agent) -> None:
    """Ten streams that break one after the other do no harm."""
    frame, expected = await _wanted(agent)
    for _ in range(10):
        talk = await agent.open()
        await talk.say(frame)
        talk.hang_up()
    expect_same(await (await agent.open()).decide(frame), expected, "after all of them")


@TOPIC.case
async def end_without_a_hello(agent: Agent) -> None:
    """A stream that says nothing ends without an error."""
    talk = await agent.raw()
    await talk.half_close()
    await talk.ended()


@TOPIC.case
async def end_after_the_welcome(agent: Agent) -> None:
    """A stream that ends after its welcome ends without an error."""
    talk = await agent.open()
    await talk.half_close()
    await talk.ended()


@TOPIC.case
async def end_with_frames_in_flight(agent: Agent) -> None:
    """Frames that were sent before the stream's end are answered, and then it ends without an error."""
    talk = await agent.open()
    for key in range(5):
        await talk.say(talk.frame(key=key))
    await talk.half_close()
    numbers = [(await talk.hear()).decisions.sequence for _ in range(5)]
    expect_equal(numbers, [1, 2, 3, 4, 5], "numbers")
    await talk.ended()


@TOPIC.case
async def new_connection(agent: Agent) -> None:
    """The same frame over another connection gets the same bytes."""
    agent.door.channel()
    frame, expected = await _wanted(agent)
    fresh = agent.door.redial()
    try:
        talk = Talk(await fresh.stream(), {0: agent.home}, agent.patience)
        await talk.ask(pb.ActRequest(hello=agent.hello()))
        expect_same(await talk.decide(frame), expected, "over another connection")
    finally:
        await fresh.close()


@TOPIC.case
async def streams_side_by_side(agent: Agent) -> None:
    """Sixteen streams at once are all answered, with the same bytes."""
    frame, expected = await _wanted(agent)
    talks = [await agent.open() for _ in range(16)]
    for answer in await asyncio.gather(*(talk.decide(frame) for talk in talks)):
        expect_same(answer, expected, "on all streams")


@TOPIC.case
async def same_welcome_again(agent: Agent) -> None:
    """The same hello on another stream is welcomed in the same way."""
    first, second = await agent.open(), await agent.open()
    expect_equal(list(second.welcome.memory_bytes), list(first.welcome.memory_bytes), "memory_bytes")
    expect_equal(set(second.welcome.capabilities), set(first.welcome.capabilities), "capabilities")


@TOPIC.case
async def garbage_ends_its_own_call_only(agent: Agent) -> None:
    """Bytes that are no message end their call with an error, and the service answers the next."""
    agent.door.channel()
    async with plain_channel(agent.door.name) as channel:
        call = channel.stream_stream("/agora.v1.AgentService/Act")()  # type: ignore[var-annotated]
        await call.write(b"\xff\xff\xff\xff")
        await call.done_writing()
        code = await within(call.code(), agent.patience, "the end of the call")
    expect_equal(code.name != "OK", True, "the call failed:")
    await _wanted(agent)
