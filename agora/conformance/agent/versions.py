"""Which version of a policy acts, and that the answer says so."""

from __future__ import annotations

import time

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.case import NotApplicable, expect, expect_equal
from agora.conformance.refusals import expect_refusal
from agora.conformance.talk import Talk, expect_same
from agora.v1 import agent_pb2 as pb, policy_pb2

TOPIC = AgentTopic("versions")
FUTURE = policy_pb2.PolicyVersion(epoch=2**63, step=1)
DEADLINE = 1.0
"""Seconds that a frame allows for a version that never comes."""


async def _told(talk: Talk) -> tuple[policy_pb2.PolicyVersion, str]:
    """The version that acts, and its policy's id."""
    part = (await talk.decide(talk.frame())).agents[0]
    return part.version, part.policy_id


@TOPIC.case
async def one_version_a_frame(agent: Agent) -> None:
    """All answers of a frame that one policy gave are of one version."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    answer = await talk.decide(talk.frame())
    versions = {part.policy_id: set() for part in answer.agents}  # type: dict[str, set[tuple[int, int]]]
    for part in answer.agents:
        versions[part.policy_id].add((part.version.epoch, part.version.step))
    mixed = {policy: found for policy, found in versions.items() if len(found) > 1}
    expect(not mixed, "one version for each policy", mixed)


@TOPIC.case
async def policy_is_named_by_id(agent: Agent) -> None:
    """A frame that names the policy which acts anyhow gets the same answer."""
    talk = await agent.open()
    expected = await talk.decide(talk.frame())
    if not expected.agents[0].policy_id:
        raise NotApplicable("its policy has no id")
    frame = talk.frame()
    frame.agents[0].policy.policy_id = expected.agents[0].policy_id
    expect_same(await talk.decide(frame), expected, "for the policy by its id")


@TOPIC.case
async def unknown_policy_in_a_frame(agent: Agent) -> None:
    """A frame for a policy that is not here is refused, and the next one answered."""
    talk = await agent.open()
    frame = talk.frame()
    frame.agents[0].policy.policy_id = "no such policy"
    refusal = await talk.refused(frame)
    field = "agents[0].policy.policy_id"
    expect_refusal(refusal, frame.sequence, policy_pb2.REASON_UNKNOWN_POLICY, field)
    await talk.decide(talk.frame())


@TOPIC.case
async def least_version_is_there(agent: Agent) -> None:
    """A frame that asks for the version which acts, or a newer one, is answered."""
    talk = await agent.open()
    version, _ = await _told(talk)
    frame = talk.frame()
    frame.agents[0].policy.min_version.CopyFrom(version)
    got = (await talk.decide(frame)).agents[0].version
    newer = (got.epoch, got.step) >= (version.epoch, version.step)
    expect(newer, f"at least {version.epoch}-{version.step}", f"{got.epoch}-{got.step}")


async def _missing(agent: Agent, field: str) -> None:
    talk = await agent.open()
    frame = talk.frame(deadline=DEADLINE)
    getattr(frame.agents[0].policy, field).CopyFrom(FUTURE)
    start = time.monotonic()
    refusal = await talk.refused(frame)
    taken = time.monotonic() - start
    expect_refusal(refusal, frame.sequence, policy_pb2.REASON_VERSION_UNAVAILABLE, f"agents[0].policy.{field}")
    expect(taken <= DEADLINE, f"a refusal within the deadline of {DEADLINE:g} s", f"one after {taken:.3f} s")
    await talk.decide(talk.frame())


@TOPIC.case
async def least_version_never_comes(agent: Agent) -> None:
    """A version that does not come is refused before the deadline, and the next frame answered."""
    await _missing(agent, "min_version")


@TOPIC.case
async def exact_version_never_comes(agent: Agent) -> None:
    """An exact version that is not here is refused before the deadline, and the next frame answered."""
    agent.need(pb.CAPABILITY_EXACT_VERSION)
    await _missing(agent, "exact_version")


@TOPIC.case
async def exact_version_acts(agent: Agent) -> None:
    """The exact version that is asked for acts."""
    agent.need(pb.CAPABILITY_EXACT_VERSION)
    talk = await agent.open()
    expected = await talk.decide(talk.frame())
    frame = talk.frame()
    frame.agents[0].policy.exact_version.CopyFrom(expected.agents[0].version)
    expect_same(await talk.decide(frame), expected, "for the exact version")


@TOPIC.case
async def one_missing_version_refuses_the_frame(agent: Agent) -> None:
    """A frame of which one agent's version is not here is refused as a whole."""
    talk = await agent.open(agent.home, agent.home)
    frame = talk.frame(deadline=DEADLINE)
    frame.agents[1].policy.min_version.CopyFrom(FUTURE)
    refusal = await talk.refused(frame)
    reason, field = policy_pb2.REASON_VERSION_UNAVAILABLE, "agents[1].policy.min_version"
    expect_refusal(refusal, frame.sequence, reason, field)


@TOPIC.case
async def streams_agree(agent: Agent) -> None:
    """Two streams are told of the same policy and version."""
    first, second = await _told(await agent.open()), await _told(await agent.open())
    expect_equal(second[1], first[1], "policy_id")
    expect_equal((second[0].epoch, second[0].step), (first[0].epoch, first[0].step), "version")
