"""Agents that say wrong things in hellos, of versions and of themselves."""

from __future__ import annotations

import asyncio
from typing import Any

from grpc_health.v1 import health_pb2

from agora.v1 import agent_pb2 as pb, policy_pb2
from tests.support.sound_agent import Answers, Requests, Sound, parts


class MixesVersions(Sound):
    cases = ("versions.one_version_a_frame",)

    def say(self, answer: pb.ActResponse) -> None:
        for number, part in enumerate(parts(answer)):
            part.version.step = number


class WaitsTooLong(Sound):
    """Refuses a version that does not come when nobody waits any more."""

    cases = ("versions.least_version_never_comes", "versions.exact_version_never_comes")

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            if answer.refusal.refusal.reason == policy_pb2.REASON_VERSION_UNAVAILABLE:
                await asyncio.sleep(1.1)
            yield answer


class ActsInAnyVersion(Sound):
    cases = (
        "versions.least_version_never_comes",
        "versions.exact_version_never_comes",
        "versions.one_missing_version_refuses_the_frame",
    )

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        for part in request.decisions.agents:
            part.policy.ClearField("min_version")
            part.policy.ClearField("exact_version")
        return request


class TakesAnyVersion(Sound):
    cases = (
        "negotiation.foreign_versions_are_refused",
        "negotiation.no_version_is_refused",
        "negotiation.empty_hello_is_refused",
    )

    def hear(self, request: pb.ActRequest) -> pb.ActRequest | None:
        if request.WhichOneof("kind") == "hello":
            request.hello.protocol_versions[:] = [1]
        return request


class IgnoresSecondHello(Sound):
    cases = ("negotiation.second_hello_is_refused",)

    async def heard(self, requests: Requests) -> Requests:
        greeted = False
        async for request in requests:
            if not (request.WhichOneof("kind") == "hello" and greeted):
                yield request
            greeted = greeted or request.WhichOneof("kind") == "hello"


class StaysAfterRefusedHello(Sound):
    cases = ("negotiation.foreign_versions_are_refused", "negotiation.no_agents_are_refused")
    wide = True
    patience = 1.0

    async def said(self, answers: Answers, context: Any) -> Answers:
        async for answer in answers:
            yield answer
        await asyncio.sleep(60.0)


class TellsOneMemoryOnly(Sound):
    cases = ("negotiation.memory_is_told_for_every_agent",)

    def say(self, answer: pb.ActResponse) -> None:
        if answer.WhichOneof("kind") == "welcome":
            del answer.welcome.memory_bytes[1:]


class NotHealthy(Sound):
    cases = ("describe.healthy",)
    health = health_pb2.HealthCheckResponse.NOT_SERVING


class DescribesOtherVersions(Sound):
    cases = ("describe.what_acts_is_held",)

    async def DescribeAgents(self, request: pb.DescribeAgentsRequest, context: Any) -> pb.DescribeAgentsResponse:
        described = await super().DescribeAgents(request, context)
        described.policies[0].version.epoch = 7
        return described
