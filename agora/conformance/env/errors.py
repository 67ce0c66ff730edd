"""Actions that are wrong in one thing are refused in words, and the game stands where it stood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.case import NotApplicable
from agora.conformance.env.drive import awaited, same_bytes
from agora.conformance.env.subject import COPIES, Server, ServerTopic
from agora.conformance.refusals import Reason
from agora.conformance.values import Array, edge
from agora.spaces import Leaf
from agora.v1 import environment_pb2 as pb, policy_pb2, tensor_pb2

TOPIC = ServerTopic("errors")
Part = pb.StepEnvironment.AgentActions


def _acting(server: Server, shown: pb.Transition) -> int:
    """The first agent that some copy awaits."""
    return int(awaited(shown).any(axis=0).argmax())


async def _expect_refused(
    server: Server, change: Callable[[pb.StepEnvironment, int], None], reason: Reason, field: str
) -> None:
    """Fail unless changed actions are refused, and the good ones then play as in an undisturbed session."""
    drive, undisturbed = await server.open(), await server.open()
    shown, expected = await drive.reset(), await undisturbed.reset()
    agent = _acting(server, shown)
    good, bad = drive.actions(shown), drive.actions(shown)
    change(bad, agent)
    await drive.refused(pb.ConnectRequest(step=bad), reason, field.format(agent=agent))
    same_bytes([await drive.step(good)], [await undisturbed.step(undisturbed.actions(expected))], "afterwards")


def wrong(reason: Reason, field: str) -> Callable[[Callable[[Part], None]], Callable[[Part], None]]:
    """A case: what a function changes in the action of an awaited agent must be refused."""

    def add(change: Callable[[Part], None]) -> Callable[[Part], None]:
        async def check(server: Server) -> None:
            await _expect_refused(server, lambda step, agent: change(step.agents[agent]), reason, field)

        TOPIC.add(change.__name__, change.__doc__ or "", check)
        return change

    return add


ACTION, LEAF = "agents[{agent}].action", "agents[{agent}].action[0]"


@TOPIC.case
async def nobody_acts(server: Server) -> None:
    """A step without agents is refused."""
    await _expect_refused(server, lambda step, _: step.ClearField("agents"), policy_pb2.REASON_SHAPE, "agents")


@TOPIC.case
async def agent_too_many(server: Server) -> None:
    """A step with an agent too many is refused."""
    await _expect_refused(server, lambda step, _: step.agents.append(Part()), policy_pb2.REASON_SHAPE, "agents")


@wrong(policy_pb2.REASON_SHAPE, ACTION)
def leaf_missing(part: Part) -> None:
    """An action of an awaited agent without its last leaf is refused."""
    del part.action[-1]


@wrong(policy_pb2.REASON_SHAPE, ACTION)
def leaf_too_many(part: Part) -> None:
    """An action with a leaf too many is refused."""
    part.action.append(part.action[0])


@wrong(policy_pb2.REASON_DATA_TYPE, LEAF)
def no_data_type(part: Part) -> None:
    """An action without a data type is refused."""
    part.action[0].data_type = tensor_pb2.DATA_TYPE_UNSPECIFIED


@wrong(policy_pb2.REASON_DATA_TYPE, LEAF)
def other_data_type(part: Part) -> None:
    """A well-formed action of another data type is refused."""
    array = from_tensor(part.action[0])
    part.action[0].CopyFrom(to_tensor(array.astype(np.float64 if array.dtype != np.float64 else np.float32)))


@wrong(policy_pb2.REASON_SHAPE, LEAF)
def copy_missing(part: Part) -> None:
    """An action for fewer copies than the session has is refused."""
    part.action[0].CopyFrom(to_tensor(from_tensor(part.action[0])[:-1]))


@wrong(policy_pb2.REASON_SHAPE, LEAF)
def axis_too_many(part: Part) -> None:
    """An action with an axis too many is refused."""
    part.action[0].shape.append(1)


@wrong(policy_pb2.REASON_SHAPE, LEAF)
def negative_axis(part: Part) -> None:
    """An action with an axis of length -1 is refused."""
    part.action[0].shape[0] = -1


@wrong(policy_pb2.REASON_SHAPE, LEAF)
def huge_axis(part: Part) -> None:
    """An action that claims 2**40 copies is refused, and nobody makes room for them."""
    part.action[0].shape[0] = 2**40


@wrong(policy_pb2.REASON_SHAPE, LEAF)
def byte_missing(part: Part) -> None:
    """An action with a byte too few is refused."""
    part.action[0].data = part.action[0].data[:-1]


async def _bad_value(server: Server, values: Callable[[Leaf], Array], reason: Reason, *, real: bool) -> None:
    def change(step: pb.StepEnvironment, agent: int) -> None:
        leaf = server.pairs[agent].done[0]
        if real and leaf.dtype.kind != "f":
            raise NotApplicable("actions are not real")
        step.agents[agent].action[0].CopyFrom(to_tensor(np.asarray(values(leaf), leaf.dtype)))

    shown = await (await server.open()).reset()
    if shown.agents[_acting(server, shown)].action_mask:
        raise NotApplicable("masks say which values are looked at")
    await _expect_refused(server, change, reason, LEAF)


def _all(leaf: Leaf, value: float) -> Array:
    return np.full((COPIES, *leaf.shape), value)


@TOPIC.case
async def not_a_number(server: Server) -> None:
    """An action with a NaN is refused."""
    await _bad_value(server, lambda leaf: _all(leaf, np.nan), policy_pb2.REASON_NOT_FINITE, real=True)


@TOPIC.case
async def infinite(server: Server) -> None:
    """An action with an infinity is refused."""
    await _bad_value(server, lambda leaf: _all(leaf, np.inf), policy_pb2.REASON_NOT_FINITE, real=True)


@TOPIC.case
async def above_the_bounds(server: Server) -> None:
    """An action above its upper bound is refused."""
    await _bad_value(
        server, lambda leaf: edge(leaf, COPIES, upper=True) + 1, policy_pb2.REASON_OUT_OF_BOUNDS, real=False
    )


@TOPIC.case
async def below_the_bounds(server: Server) -> None:
    """An action below its lower bound is refused."""
    await _bad_value(
        server, lambda leaf: edge(leaf, COPIES, upper=False) - 1, policy_pb2.REASON_OUT_OF_BOUNDS, real=False
    )


@TOPIC.case
async def last_agent_is_named(server: Server) -> None:
    """Where a later agent is wrong, the refusal names it."""
    drive = await server.open()
    shown = await drive.reset()
    bad, last = drive.actions(shown), int(np.flatnonzero(awaited(shown).any(axis=0))[-1])
    bad.agents[last].action[0].data += b"\x00"
    await drive.refused(pb.ConnectRequest(step=bad), policy_pb2.REASON_SHAPE, f"agents[{last}].action[0]")


@TOPIC.case
async def many_refusals(server: Server) -> None:
    """A hundred refused steps do no harm."""
    drive = await server.open()
    shown = await drive.reset()
    for _ in range(100):
        await drive.refused(pb.ConnectRequest(step=pb.StepEnvironment()))
    await drive.step(drive.actions(shown))
