"""Runs a suite against what is at an address."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from agora.conformance import agent as agent_suite, env as env_suite, report
from agora.conformance.agent.subject import Agent
from agora.conformance.battery import BATTERY, Pair, told
from agora.conformance.case import Case, S
from agora.conformance.doors import Dialled, Door, Joining, plain_channel
from agora.conformance.env.subject import BUILD_SECONDS, Server
from agora.conformance.options import AgentOptions, EnvironmentOptions
from agora.conformance.running import Outcome, chosen, run_cases
from agora.errors import Refused, Unavailable, explain
from agora.v1 import agent_pb2 as pb, agent_pb2_grpc, environment_pb2, environment_pb2_grpc, policy_pb2

JOIN_SECONDS = 60.0
"""How long to wait for an agent to join for the first time."""
CASE_ANSWERS = 6
"""How many answers' patience a case has."""


@dataclass(frozen=True)
class Report:
    """What a suite found.

    Attributes:
        title: what was checked.
        notes: what was found out before the cases.
        outcomes: of all cases.
    """

    title: str
    notes: Sequence[str]
    outcomes: Sequence[Outcome]

    @property
    def exit_code(self) -> int:
        """0 if no case failed, else 1."""
        return report.exit_code(self.outcomes)

    def as_json(self) -> str:
        """For programs."""
        return report.as_json(self.title, self.notes, self.outcomes)

    def print(self) -> None:
        """For people."""
        report.print_report(self.title, self.notes, self.outcomes)


async def check_agent(options: AgentOptions) -> Report:
    """Run the agents' suite.

    Raises:
        Refused: a flag is wrong.
        Unavailable: nobody answers or joins.
    """
    if bool(options.address) == bool(options.join):
        raise Refused(policy_pb2.REASON_CONFIG, "address", "either ADDRESS or --join", options.address or "none")
    cases = _chosen(agent_suite.CASES, options.pattern)
    pairs = [*await _spaces_of(options.spaces_of), *BATTERY]
    door = await _door(options)
    try:
        made_for, policy_id = await _asked(door, options.timeout)
        subject = Agent(door, policy_id, options.timeout)
        await _probe(subject, [*made_for, *pairs])
        limit = CASE_ANSWERS * options.timeout
        outcomes = [outcome async for outcome in run_cases(cases, subject, limit)]
    finally:
        await door.close()
    return Report(f"agent {door.name}", _notes(subject), outcomes)


def _chosen(cases: Sequence[Case[S]], pattern: str) -> list[Case[S]]:
    found = chosen(cases, pattern)
    if not found:
        raise Refused(policy_pb2.REASON_CONFIG, "pattern", "a part of a case's name", pattern)
    return found


async def _door(options: AgentOptions) -> Door:
    if options.join:
        if not options.token:
            raise Refused(policy_pb2.REASON_CONFIG, "token", "the token that the agent shows", "none")
        return await Joining.open(options.join, options.name, options.token, JOIN_SECONDS)
    door = Dialled(options.address)
    try:
        await asyncio.wait_for(door.channel().channel_ready(), options.timeout)
    except TimeoutError:
        await door.close()
        raise Unavailable(options.address, f"nobody answers within {options.timeout:g} s") from None
    return door


async def _asked(door: Door, timeout: float) -> tuple[list[Pair], str]:
    """What the agent says it was made for, and the id of its policy if it holds several."""
    if isinstance(door, Joining):
        return [], ""
    stub = agent_pb2_grpc.AgentServiceStub(door.channel())
    try:
        held = (await stub.DescribeAgents(pb.DescribeAgentsRequest(), timeout=timeout)).policies
        made_for = [told(entry.policy_id or "spec", entry.spec) for entry in held if entry.HasField("spec")]
    except (grpc.RpcError, Refused):
        return [], ""  # a case of the suite tells
    ids = sorted({entry.policy_id for entry in held})
    return made_for[:1], ids[0] if len(ids) > 1 else ""


async def _spaces_of(place: tuple[str, str] | None) -> list[Pair]:
    """The spaces of a running server's game, one pair for each that differs."""
    if place is None:
        return []
    address, game = place
    spec = environment_pb2.EnvironmentSpec(name=game, config_json="{}", num_envs=1)
    request = environment_pb2.DescribeEnvironmentRequest(environment=spec)
    async with plain_channel(address) as channel:
        stub = environment_pb2_grpc.EnvironmentServiceStub(channel)
        try:
            agents = (await stub.DescribeEnvironment(request, timeout=BUILD_SECONDS)).agents
        except grpc.RpcError as error:
            raise explain(error, address) from error
    first = {(a.observation_space.SerializeToString(), a.action_space.SerializeToString()): a for a in agents[::-1]}
    return [told(f"{game}.{agent.id}", agent) for agent in reversed(first.values())]


async def _probe(subject: Agent, pairs: Sequence[Pair]) -> None:
    try:
        await subject.probe(pairs)
    except grpc.RpcError as error:
        raise explain(error, subject.door.name) from error
    said = [refusal.refusal for refusal in subject.refusals.values()]
    if not subject.accepted and said and all(refusal.reason == policy_pb2.REASON_SPEC_MISMATCH for refusal in said):
        expected = "spaces that the agent plays: name its game by --spaces-of ADDRESS GAME"
        raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "spaces", expected, f"only refusals, such as {said[0].message}")


def _notes(subject: Agent) -> list[str]:
    plays = f"plays {', '.join(subject.accepted) or 'none of the spaces tried'}"
    refuses = f"refuses {', '.join(subject.refusals)}" if subject.refusals else ""
    names = [pb.Capability.Name(pb.Capability.ValueType(c)) for c in sorted(subject.capabilities)]
    can = ", ".join(name.removeprefix("CAPABILITY_").lower() for name in names)
    return [note for note in (plays, refuses, f"can do {can}" if can else "names no capabilities") if note]


async def check_env(options: EnvironmentOptions) -> Report:
    """Run the environment servers' suite.

    Raises:
        Refused: the server refuses the game or its configuration, or a flag is wrong.
        Unavailable: nobody answers.
    """
    cases = _chosen(env_suite.CASES, options.pattern)
    server = Server(options.address, options.environment, options.config, options.timeout)
    try:
        await server.probe()
        limit = CASE_ANSWERS * options.timeout + BUILD_SECONDS
        outcomes = [outcome async for outcome in run_cases(cases, server, limit)]
    except grpc.RpcError as error:
        raise explain(error, options.address) from error
    finally:
        await server.close()
    agents = ", ".join(agent.id for agent in server.described.agents)
    return Report(f"environment server {options.address}", [f"{options.environment}: {agents}"], outcomes)
