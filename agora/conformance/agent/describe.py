"""What an agent service tells of itself beside its streams; agents that join a lobby are not asked."""

from __future__ import annotations

from grpc_health.v1 import health_pb2, health_pb2_grpc

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.battery import told
from agora.conformance.case import NotApplicable, expect, expect_equal
from agora.conformance.line import within
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc

TOPIC = AgentTopic("describe")


async def _described(agent: Agent) -> pb.DescribeAgentsResponse:
    stub = agent_pb2_grpc.AgentServiceStub(agent.door.channel())
    return await within(stub.DescribeAgents(pb.DescribeAgentsRequest()), agent.patience, "a description")


@TOPIC.case
async def tells_what_it_holds(agent: Agent) -> None:
    """DescribeAgents is answered."""
    await _described(agent)


@TOPIC.case
async def policies_have_ids_and_kinds(agent: Agent) -> None:
    """Every policy that is held has a kind, and no version of one is told twice."""
    held = (await _described(agent)).policies
    expect(all(entry.kind for entry in held), "a kind for every policy", [entry.policy_id for entry in held])
    versions = [(entry.policy_id, entry.version.epoch, entry.version.step) for entry in held]
    expect(len(set(versions)) == len(versions), "every version once", versions)


@TOPIC.case
async def one_version_serves(agent: Agent) -> None:
    """At most one version of a policy is said to be serving."""
    serving = [entry.policy_id for entry in (await _described(agent)).policies if entry.serving]
    expect(len(set(serving)) == len(serving), "one serving version for each policy", serving)


@TOPIC.case
async def what_acts_is_held(agent: Agent) -> None:
    """The policy and version that acted are among those that are told."""
    held = {(e.policy_id, e.version.epoch, e.version.step) for e in (await _described(agent)).policies}
    talk = await agent.open()
    part = (await talk.decide(talk.frame())).agents[0]
    acted = (part.policy_id, part.version.epoch, part.version.step)
    expect(acted in held, f"one of {sorted(held)}", acted)


@TOPIC.case
async def spec_is_well_formed(agent: Agent) -> None:
    """The spaces that a policy says it was made for are well-formed."""
    specs = [entry.spec for entry in (await _described(agent)).policies if entry.HasField("spec")]
    if not specs:
        raise NotApplicable("it does not tell what its policies were made for")
    for spec in specs:
        pair = told("spec", spec)
        expect(len(pair.done) > 0, "an action", "none")


@TOPIC.recommended
async def frames_are_counted(agent: Agent) -> None:
    """The number of answered frames rises with every frame."""
    before = (await _described(agent)).frames
    talk = await agent.open()
    await talk.decide(talk.frame())
    after = (await _described(agent)).frames
    expect(after > before, f"more than {before}", after)


@TOPIC.recommended
async def software_is_told(agent: Agent) -> None:
    """DescribeAgents tells people which software answers."""
    expect(bool((await _described(agent)).software), "a name and a version", "nothing")


@TOPIC.case
async def described_beside_streams(agent: Agent) -> None:
    """DescribeAgents is answered while a stream is open."""
    talk = await agent.open()
    await _described(agent)
    await talk.decide(talk.frame())


async def _health(agent: Agent, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(agent.door.channel())
    asked = health_pb2.HealthCheckRequest(service=service)
    answer = await within(stub.Check(asked), agent.patience, "the service's health")
    expect_equal(answer.status, health_pb2.HealthCheckResponse.SERVING, "health status")


@TOPIC.case
async def healthy(agent: Agent) -> None:
    """The standard health service says SERVING."""
    await _health(agent, "")


@TOPIC.recommended
async def service_is_healthy(agent: Agent) -> None:
    """The health service knows agora.v1.AgentService by its name."""
    await _health(agent, "agora.v1.AgentService")
