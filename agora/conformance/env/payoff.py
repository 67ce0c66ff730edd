"""Payoffs without an episode, for games that tell them."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.case import Failed, NotApplicable, expect, expect_equal
from agora.conformance.env.subject import Server, ServerTopic
from agora.conformance.refusals import Reason, expect_words
from agora.conformance.values import Array, legal
from agora.errors import refusal_in
from agora.v1 import environment_pb2 as pb, policy_pb2

TOPIC = ServerTopic("payoff")
MANY = 4
SECONDS = 90.0
"""The first evaluation may compile the game."""


def _joint(server: Server) -> Array:
    """Legal joint actions float64 (MANY, N, A)."""
    if not server.described.has_payoff:
        raise NotApplicable("the game does not tell payoffs")
    rows = np.arange(MANY)
    flat = [
        np.concatenate([legal(leaf, rows, 10 * i + j).reshape(MANY, -1) for j, leaf in enumerate(pair.done)], axis=1)
        for i, pair in enumerate(server.pairs)
    ]
    return np.stack(flat, axis=1).astype(np.float64)


async def _evaluate(server: Server, actions: Array, *, gradient: bool = False) -> pb.EvaluatePayoffResponse:
    request = pb.EvaluatePayoffRequest(environment=server.spec(1), actions=to_tensor(actions), gradient=gradient)
    return await server.stub.EvaluatePayoff(request, timeout=SECONDS)


async def _refusal(server: Server, actions: Array, reason: Reason) -> None:
    try:
        await _evaluate(server, actions)
    except grpc.RpcError as error:
        refused = refusal_in(error)
        if refused is None:
            raise Failed("a refusal in the status details", str(error)) from error
        expect_words(refused.to_proto(), reason, None)
        return
    raise Failed("a refusal", "an answer")


@TOPIC.case
async def payoffs_are_finite(server: Server) -> None:
    """Payoffs are finite float64 (M, N)."""
    array = from_tensor((await _evaluate(server, _joint(server))).payoffs)
    expect_equal((array.dtype.name, array.shape), ("float64", (MANY, len(server.pairs))), "payoffs:")
    expect(bool(np.isfinite(array).all()), "finite numbers", array.tolist())


@TOPIC.case
async def payoffs_repeat(server: Server) -> None:
    """The same joint actions pay the same, to the last bit."""
    joint = _joint(server)
    first, second = await _evaluate(server, joint), await _evaluate(server, joint)
    expect(first.payoffs.data == second.payoffs.data, "the same bytes", "others")


@TOPIC.case
async def payoffs_are_each_their_own(server: Server) -> None:
    """A joint action pays the same whatever is asked beside it."""
    joint = _joint(server)
    whole = from_tensor((await _evaluate(server, joint)).payoffs)
    alone = from_tensor((await _evaluate(server, joint[2:3])).payoffs)
    expect(bool(np.allclose(alone, whole[2:3], rtol=1e-12, atol=0.0)), f"{whole[2].tolist()}", alone.tolist())


@TOPIC.case
async def gradients_have_their_shape(server: Server) -> None:
    """Gradients, where the game has them, are float64 (M, N, A); unasked there are none."""
    joint = _joint(server)
    answer = await _evaluate(server, joint, gradient=True)
    if not answer.HasField("gradients"):
        raise NotApplicable("the game has no gradients")
    expect_equal(from_tensor(answer.gradients).shape, joint.shape, "gradients: shape")
    expect(not (await _evaluate(server, joint)).HasField("gradients"), "no gradients unasked", "some")


def _wrong(name: str, asked: str, reason: Reason, change: Callable[[Array], Array]) -> None:
    async def check(server: Server) -> None:
        await _refusal(server, change(_joint(server)), reason)

    TOPIC.add(name, asked, check)


_wrong("single_precision", "float32 is refused", policy_pb2.REASON_DATA_TYPE, lambda joint: joint.astype(np.float32))
_wrong("out_of_bounds", "Actions out of bounds are refused", policy_pb2.REASON_OUT_OF_BOUNDS, lambda joint: joint + 1e6)


@TOPIC.case
async def wrong_shape(server: Server) -> None:
    """Joint actions of too few agents are refused."""
    try:
        await _evaluate(server, np.ascontiguousarray(_joint(server)[:, :-1]))
    except grpc.RpcError as error:
        expect(refusal_in(error) is not None, "a refusal in the status details", error)
        return
    raise Failed("a refusal", "an answer")


@TOPIC.case
async def games_without_payoffs_say_so(server: Server) -> None:
    """A game that does not tell payoffs refuses as UNSUPPORTED."""
    if server.described.has_payoff:
        raise NotApplicable("the game tells payoffs")
    await _refusal(server, np.zeros((1, len(server.pairs), 1)), policy_pb2.REASON_UNSUPPORTED)
