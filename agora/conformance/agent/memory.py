"""Memory is carried by the caller: the agent keeps none of its own."""

from __future__ import annotations

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import NotApplicable, expect_equal
from agora.conformance.refusals import expect_refusal
from agora.conformance.talk import ROWS, Talk, expect_rows, expect_same
from agora.v1 import agent_pb2 as pb, policy_pb2

TOPIC = AgentTopic("memory")


async def _remembering(agent: Agent) -> tuple[Talk, int]:
    """A stream, and the bytes that a row's memory takes."""
    agent.need(pb.CAPABILITY_MEMORY)
    talk = await agent.open()
    if not talk.welcome.memory_bytes[0]:
        raise NotApplicable("its policy has no memory")
    return talk, talk.welcome.memory_bytes[0]


@TOPIC.case
async def as_long_as_welcomed(agent: Agent) -> None:
    """An answer's memory has the bytes that the welcome told, for every row."""
    talk = await agent.open(agent.home, agent.home)
    answer = await talk.decide(talk.frame())
    for part, width in zip(answer.agents, talk.welcome.memory_bytes, strict=True):
        expect_equal(len(part.memory), width * len(ROWS), "bytes of memory:")


@TOPIC.case
async def without_the_capability_there_is_none(agent: Agent) -> None:
    """An agent that does not name memory needs none."""
    talk = await agent.open()
    if pb.CAPABILITY_MEMORY in talk.welcome.capabilities:
        raise NotApplicable("it names CAPABILITY_MEMORY")
    expect_equal(list(talk.welcome.memory_bytes), [0], "memory_bytes")


@TOPIC.case
async def wrong_length_is_refused(agent: Agent) -> None:
    """Memory of another length is refused, and the next frame answered."""
    talk = await agent.open()
    frame = talk.frame()
    frame.agents[0].memory = bytes(talk.welcome.memory_bytes[0] * len(ROWS) + 1)
    expect_refusal(await talk.refused(frame), frame.sequence, policy_pb2.REASON_SHAPE, "agents[0].memory")
    await talk.decide(talk.frame())


@TOPIC.case
async def zeros_are_none(agent: Agent) -> None:
    """Memory of zeros means the same as no memory: the row did not decide before."""
    talk, width = await _remembering(agent)
    expected = await talk.decide(talk.frame())
    frame = talk.frame()
    frame.agents[0].memory = bytes(width * len(ROWS))
    expect_same(await talk.decide(frame), expected, "with zeros as with nothing")


async def _second(talk: Talk, memory: bytes) -> pb.DecisionsRequest:
    frame = talk.frame(key=1)
    frame.step += 1
    frame.agents[0].memory = memory
    return frame


@TOPIC.case
async def carried_to_another_stream(agent: Agent) -> None:
    """Memory that is brought to another stream means there what it means here."""
    talk, _ = await _remembering(agent)
    first = await talk.decide(talk.frame())
    expected = await talk.decide(await _second(talk, first.agents[0].memory))
    other = await agent.open()
    expect_same(await other.decide(await _second(other, first.agents[0].memory)), expected, "on another stream")


@TOPIC.case
async def belongs_to_its_row(agent: Agent) -> None:
    """Rows in another order, each with its memory, get the same answers."""
    talk, width = await _remembering(agent)
    first = await talk.decide(talk.frame())
    kept = first.agents[0].memory
    whole = await talk.decide(await _second(talk, kept))
    back = talk.frame(ROWS[::-1], key=1)
    back.step += 1
    back.agents[0].memory = b"".join(kept[row * width : (row + 1) * width] for row in ROWS[::-1])
    answer = await talk.decide(back)
    expect_rows(answer.agents[0], whole.agents[0], ROWS[::-1], len(ROWS), "memory in another order")
