"""How a stream begins."""

from __future__ import annotations

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import expect, expect_equal
from agora.conformance.refusals import expect_refusal
from agora.v1 import agent_pb2 as pb, policy_pb2

TOPIC = AgentTopic("negotiation")
UNKNOWN_FIELD = bytes([0xFA, 0x06, 0x00])
"""Field 111 of no bytes: a kind of request that no release knows yet."""


@TOPIC.case
async def hello_is_welcomed(agent: Agent) -> None:
    """A good hello is answered by a welcome."""
    await agent.open()


@TOPIC.case
async def version_is_chosen(agent: Agent) -> None:
    """The welcome names protocol version 1."""
    expect_equal((await agent.open()).welcome.protocol_version, 1, "protocol_version")


async def _welcome(agent: Agent, hello: pb.AgentHello) -> pb.AgentWelcome:
    answer = await (await agent.raw()).ask(pb.ActRequest(hello=hello))
    expect(answer.WhichOneof("kind") == "welcome", "a welcome", answer.refusal.refusal.message)
    return answer.welcome


@TOPIC.case
async def newer_versions_are_passed_over(agent: Agent) -> None:
    """A caller that speaks versions 1 and 4294967295 gets 1."""
    hello = agent.hello()
    hello.protocol_versions[:] = [1, 2**32 - 1]
    expect_equal((await _welcome(agent, hello)).protocol_version, 1, "protocol_version")


@TOPIC.case
async def versions_come_in_any_order(agent: Agent) -> None:
    """A caller that names version 1 last gets it."""
    hello = agent.hello()
    hello.protocol_versions[:] = [77, 1]
    expect_equal((await _welcome(agent, hello)).protocol_version, 1, "protocol_version")


async def _refused_hello(
    agent: Agent, hello: pb.AgentHello, reason: policy_pb2.Reason.ValueType, field: str | None
) -> None:
    talk = await agent.raw()
    refusal = await talk.refused(pb.ActRequest(hello=hello))
    expect_refusal(refusal, 0, reason, field)
    await talk.ended()


@TOPIC.case
async def foreign_versions_are_refused(agent: Agent) -> None:
    """A caller that speaks versions 98 and 99 only is refused, and the stream ends."""
    hello = agent.hello()
    hello.protocol_versions[:] = [98, 99]
    await _refused_hello(agent, hello, policy_pb2.REASON_PROTOCOL_VERSION, "protocol_versions")


@TOPIC.case
async def no_version_is_refused(agent: Agent) -> None:
    """A caller that names no version is refused, and the stream ends."""
    hello = agent.hello()
    del hello.protocol_versions[:]
    await _refused_hello(agent, hello, policy_pb2.REASON_PROTOCOL_VERSION, "protocol_versions")


@TOPIC.case
async def empty_hello_is_refused(agent: Agent) -> None:
    """A hello that says nothing is refused, and the stream ends."""
    await _refused_hello(agent, pb.AgentHello(), policy_pb2.REASON_PROTOCOL_VERSION, None)


@TOPIC.case
async def no_agents_are_refused(agent: Agent) -> None:
    """A hello without agents is refused, and the stream ends."""
    hello = agent.hello()
    del hello.agents[:]
    await _refused_hello(agent, hello, policy_pb2.REASON_SHAPE, "agents")


@TOPIC.case
async def doubled_agents_are_refused(agent: Agent) -> None:
    """A hello that announces one number twice is refused, and names the second."""
    hello = agent.hello()
    hello.agents.append(agent.home.spec(0, agent.policy_id))
    await _refused_hello(agent, hello, policy_pb2.REASON_UNKNOWN_AGENT, "agents[1].index")


@TOPIC.case
async def unknown_policy_is_refused(agent: Agent) -> None:
    """A hello for a policy that is not here is refused, and the stream ends."""
    hello = agent.hello()
    hello.agents[0].policy.policy_id = "no such policy"
    await _refused_hello(agent, hello, policy_pb2.REASON_UNKNOWN_POLICY, "agents[0].policy.policy_id")


@TOPIC.case
async def second_hello_is_refused(agent: Agent) -> None:
    """A second hello is refused, and the stream ends."""
    talk = await agent.open()
    refusal = await talk.refused(pb.ActRequest(hello=agent.hello()))
    expect_refusal(refusal, 0, policy_pb2.REASON_NOT_READY, None)
    await talk.ended()


@TOPIC.case
async def frame_before_hello_is_refused(agent: Agent) -> None:
    """A frame before the hello is refused under its own number."""
    talk = await agent.raw()
    frame = talk.frame()
    frame.sequence = 41
    expect_refusal(await talk.refused(frame), 41, policy_pb2.REASON_NOT_READY, None)


@TOPIC.case
async def hello_after_an_early_frame(agent: Agent) -> None:
    """After a frame that came too early the hello is still welcomed, and the next frame answered."""
    talk = await agent.raw()
    await talk.refused(talk.frame())
    answer = await talk.ask(pb.ActRequest(hello=agent.hello()))
    expect(answer.WhichOneof("kind") == "welcome", "a welcome", answer.WhichOneof("kind"))
    await talk.decide(talk.frame())


async def _unknown_kind(agent: Agent, request: pb.ActRequest) -> None:
    talk = await agent.open()
    expect_refusal(await talk.refused(request), None, policy_pb2.REASON_UNSUPPORTED, None)
    await talk.decide(talk.frame())


@TOPIC.case
async def nothing_asked_is_refused(agent: Agent) -> None:
    """A request without a kind is refused, and the stream lives on."""
    await _unknown_kind(agent, pb.ActRequest())


@TOPIC.case
async def unknown_kind_is_refused(agent: Agent) -> None:
    """A kind of request from a later release is refused, and the stream lives on."""
    await _unknown_kind(agent, pb.ActRequest.FromString(UNKNOWN_FIELD))


@TOPIC.case
async def unknown_fields_are_passed_over(agent: Agent) -> None:
    """A hello with a field from a later release is welcomed."""
    hello = pb.AgentHello.FromString(agent.hello().SerializeToString() + UNKNOWN_FIELD)
    await _welcome(agent, hello)


@TOPIC.case
async def unknown_capabilities_are_passed_over(agent: Agent) -> None:
    """A hello that names an unknown capability is welcomed."""
    hello = agent.hello()
    hello.capabilities.append(999)  # type: ignore[arg-type]  # a later release's
    await _welcome(agent, hello)


@TOPIC.case
async def capabilities_are_known(agent: Agent) -> None:
    """The welcome names capabilities of the contract, each once."""
    named = list((await agent.open()).welcome.capabilities)
    known = set(pb.Capability.values()) - {pb.CAPABILITY_UNSPECIFIED}
    expect(set(named) <= known and len(set(named)) == len(named), f"each once, out of {sorted(known)}", named)


@TOPIC.case
async def memory_is_told_for_every_agent(agent: Agent) -> None:
    """The welcome tells the bytes of memory of every agent of the hello."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    expect_equal(len(talk.welcome.memory_bytes), 3, "entries in memory_bytes:")


@TOPIC.case
async def numbers_begin_anywhere(agent: Agent) -> None:
    """Agents may have any numbers, in any order."""
    talk = await agent.crowd((4_000_000_000, 7))
    answer = await talk.decide(talk.frame())
    expect_equal([part.index for part in answer.agents], [4_000_000_000, 7], "agents")


@TOPIC.case
async def largest_seed(agent: Agent) -> None:
    """The largest seed there is does no harm."""
    talk = await agent.open(seed=2**64 - 1)
    await talk.decide(talk.frame())


@TOPIC.recommended
async def release_is_told(agent: Agent) -> None:
    """The welcome tells people which software answers."""
    expect(bool((await agent.open()).welcome.software), "a name and a version", "nothing")


@TOPIC.recommended
async def unshared_capability_is_refused(agent: Agent) -> None:
    """What the caller did not name in its hello is refused if it uses it all the same."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    hello = agent.hello()
    hello.capabilities[:] = [pb.CAPABILITY_MEMORY]
    talk = await agent.raw()
    await talk.ask(pb.ActRequest(hello=hello))
    frame = talk.frame()
    frame.agents[0].exploration.temperature = 1.0
    expect_refusal(await talk.refused(frame), frame.sequence, policy_pb2.REASON_UNSUPPORTED, "agents[0].exploration")
