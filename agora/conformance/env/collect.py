"""Episodes that services play for learners."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message

from agora.codec import from_tensor
from agora.conformance.case import Failed, NotApplicable, expect, expect_equal
from agora.conformance.env.subject import BUILD_SECONDS, COPIES, Server, ServerTopic
from agora.conformance.refusals import Reason, expect_words
from agora.errors import refusal_in
from agora.v1 import policy_pb2, rollout_pb2 as pb, rollout_pb2_grpc

TOPIC = ServerTopic("collect")


async def _request(server: Server, blocks: int = 1) -> pb.CollectRequest:
    return pb.CollectRequest(
        run="conformance",
        environment=server.spec(),
        seats=[await server.seat(index) for index in range(len(server.pairs))],
        seed=3,
        num_blocks=blocks,
        deadline_us=int(server.patience * 1e6),
    )


async def _collect(server: Server, request: pb.CollectRequest) -> list[pb.CollectResponse]:
    call = rollout_pb2_grpc.RolloutServiceStub(server.channel).Collect(request, timeout=BUILD_SECONDS)
    try:
        return [answer async for answer in call]
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED and refusal_in(error) is None:
            raise NotApplicable("the server does not collect") from None
        raise


@TOPIC.case
async def summary_comes_last(server: Server) -> None:
    """A collection streams segments, and then one summary that counts its blocks."""
    answers = await _collect(server, await _request(server, 2))
    kinds = [answer.WhichOneof("kind") for answer in answers]
    expect(kinds[-1] == "summary" and set(kinds[:-1]) == {"segment"}, "segments, then the summary", kinds)
    expect_equal(answers[-1].summary.blocks, 2, "blocks")


@TOPIC.case
async def same_request_same_bytes(server: Server) -> None:
    """The same request gives the same trajectories, bit for bit."""
    request = await _request(server)
    first, second = await _collect(server, request), await _collect(server, request)
    segments = [[_bytes(answer.segment) for answer in answers[:-1]] for answers in (first, second)]
    expect(segments[0] == segments[1], "the same bytes", "others")


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


@TOPIC.case
async def blocks_do_not_depend_on_one_another(server: Server) -> None:
    """The second block is the same where the first is not asked for."""
    both = await _request(server, 2)
    second = await _request(server)
    second.first_block = 1
    expected = [answer.segment for answer in await _collect(server, both) if answer.segment.block == 1]
    got = [answer.segment for answer in (await _collect(server, second))[:-1]]
    expect([_bytes(s) for s in got] == [_bytes(s) for s in expected], "the same bytes", "others")


@TOPIC.case
async def trajectories_lie_in_their_spaces(server: Server) -> None:
    """Observations and actions of a trajectory are values of their spaces."""
    for answer in (await _collect(server, await _request(server)))[:-1]:
        segment = answer.segment
        expect_equal(len(segment.agents), len(server.pairs), "agents:")
        for index, (agent, pair) in enumerate(zip(segment.agents, server.pairs, strict=True)):
            acted = from_tensor(agent.acted)
            expect_equal(acted.shape, (segment.steps, COPIES), f"agents[{index}].acted: shape")
            for number, (tensor, leaf) in enumerate(zip(agent.observation, pair.seen, strict=True)):
                array = from_tensor(tensor)
                shown = array.reshape(-1, *leaf.shape)
                expect_equal(array.shape[1], COPIES, f"agents[{index}].observation[{number}]: copies:")
                leaf.check(shown, len(shown), f"agents[{index}].observation[{number}]")


async def _refused(server: Server, request: pb.CollectRequest, reason: Reason | None, field: str | None) -> None:
    try:
        await _collect(server, request)
    except grpc.RpcError as error:
        refused = refusal_in(error)
        if refused is None:
            raise Failed("a refusal in the status details", str(error)) from error
        expect_words(refused.to_proto(), reason, field)
        return
    raise Failed("a refusal", "a collection")


@TOPIC.case
async def no_blocks(server: Server) -> None:
    """A collection of no blocks is refused."""
    await _refused(server, await _request(server, 0), policy_pb2.REASON_OUT_OF_BOUNDS, "num_blocks")


@TOPIC.case
async def no_deadline(server: Server) -> None:
    """A collection without a deadline is refused."""
    request = await _request(server)
    request.deadline_us = 0
    await _refused(server, request, policy_pb2.REASON_OUT_OF_BOUNDS, "deadline_us")


@TOPIC.case
async def seat_missing(server: Server) -> None:
    """A collection in which an agent has no seat is refused."""
    request = await _request(server)
    del request.seats[-1]
    await _refused(server, request, policy_pb2.REASON_UNKNOWN_AGENT, None)


@TOPIC.case
async def service_that_is_not_there(server: Server) -> None:
    """A collection with a seat where nobody listens ends with UNREACHABLE."""
    request = await _request(server)
    request.seats[0].addresses[:] = ["127.0.0.1:1"]
    request.deadline_us = 300_000
    await _refused(server, request, policy_pb2.REASON_UNREACHABLE, None)
