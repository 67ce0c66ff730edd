"""Actions that are wrong in one thing are refused in words, and the game stands where it stood."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.case import NotApplicable
from agora.conformance.env.drive import same_bytes
from agora.conformance.env.subject import COPIES, Server, ServerTopic
from agora.conformance.refusals import Reason
from agora.conformance.values import edge
from agora.spaces import Leaf
from agora.v1 import environment_pb2 as pb, policy_pb2, tensor_pb2

TOPIC = ServerTopic("errors")
ACTION = "agents[0].action"
Change = Callable[[pb.StepEnvironment, Leaf], None]


def wrong(reason: Reason, field: str | None) -> Callable[[Change], Change]:
    """A case: what a function changes in good actions must be refused, and the good ones then play on."""

    def add(change: Change) -> Change:
        async def check(server: Server) -> None:
            drive, undisturbed = await server.open(), await server.open()
            shown, expected = await drive.reset(), await undisturbed.reset()
            good, bad = drive.actions(shown), drive.actions(shown)
            change(bad, server.pairs[0].done[0])
            await drive.refused(pb.ConnectRequest(step=bad), reason, field)
            same_bytes([await drive.step(good)], [await undisturbed.step(undisturbed.actions(expected))], "afterwards")

        TOPIC.add(change.__name__, change.__doc__ or "", check)
        return change

    return add


@wrong(policy_pb2.REASON_SHAPE, "agents")
def nobody_acts(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """A step without agents is refused."""
    del step.agents[:]


@wrong(policy_pb2.REASON_SHAPE, "agents")
def agent_too_many(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """A step with an agent too many is refused."""
    step.agents.append(step.agents[0])


@wrong(policy_pb2.REASON_SHAPE, ACTION)
def leaf_missing(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action of an awaited agent without its last leaf is refused."""
    del step.agents[0].action[-1]


@wrong(policy_pb2.REASON_SHAPE, ACTION)
def leaf_too_many(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with a leaf too many is refused."""
    step.agents[0].action.append(step.agents[0].action[0])


@wrong(policy_pb2.REASON_DATA_TYPE, f"{ACTION}[0]")
def no_data_type(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action without a data type is refused."""
    step.agents[0].action[0].data_type = tensor_pb2.DATA_TYPE_UNSPECIFIED


@wrong(policy_pb2.REASON_DATA_TYPE, f"{ACTION}[0]")
def other_data_type(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """A well-formed action of another data type is refused."""
    other = np.float64 if leaf.dtype != np.float64 else np.float32
    step.agents[0].action[0].CopyFrom(to_tensor(from_tensor(step.agents[0].action[0]).astype(other)))


@wrong(policy_pb2.REASON_SHAPE, f"{ACTION}[0]")
def copy_missing(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action for fewer copies than the session has is refused."""
    step.agents[0].action[0].CopyFrom(to_tensor(from_tensor(step.agents[0].action[0])[:-1]))


@wrong(policy_pb2.REASON_SHAPE, f"{ACTION}[0]")
def axis_too_many(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with an axis too many is refused."""
    step.agents[0].action[0].shape.append(1)


@wrong(policy_pb2.REASON_SHAPE, f"{ACTION}[0]")
def negative_axis(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with an axis of length -1 is refused."""
    step.agents[0].action[0].shape[0] = -1


@wrong(policy_pb2.REASON_SHAPE, f"{ACTION}[0]")
def huge_axis(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action that claims 2**40 copies is refused, and nobody makes room for them."""
    step.agents[0].action[0].shape[0] = 2**40


@wrong(policy_pb2.REASON_SHAPE, f"{ACTION}[0]")
def byte_missing(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with a byte too few is refused."""
    step.agents[0].action[0].data = step.agents[0].action[0].data[:-1]


@wrong(policy_pb2.REASON_NOT_FINITE, f"{ACTION}[0]")
def not_a_number(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with a NaN is refused."""
    _spoil(step, leaf, lambda array: array.fill(np.nan), real=True)


@wrong(policy_pb2.REASON_NOT_FINITE, f"{ACTION}[0]")
def infinite(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action with an infinity is refused."""
    _spoil(step, leaf, lambda array: array.fill(np.inf), real=True)


@wrong(policy_pb2.REASON_OUT_OF_BOUNDS, f"{ACTION}[0]")
def above_the_bounds(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action above its upper bound is refused."""
    _spoil(step, leaf, lambda array: np.copyto(array, edge(leaf, COPIES, upper=True) + leaf.dtype.type(1)))


@wrong(policy_pb2.REASON_OUT_OF_BOUNDS, f"{ACTION}[0]")
def below_the_bounds(step: pb.StepEnvironment, leaf: Leaf) -> None:
    """An action below its lower bound is refused."""
    _spoil(step, leaf, lambda array: np.copyto(array, edge(leaf, COPIES, upper=False) - leaf.dtype.type(1)))


def _spoil(
    step: pb.StepEnvironment,
    leaf: Leaf,
    fill: Callable[[np.ndarray], None],
    *,
    real: bool = False,
) -> None:
    if real and leaf.dtype.kind != "f":
        raise NotApplicable("the first agent's action is not real")
    array = from_tensor(step.agents[0].action[0]).copy()
    fill(array)
    step.agents[0].action[0].CopyFrom(to_tensor(array))


@TOPIC.case
async def last_agent_is_named(server: Server) -> None:
    """Where the last agent is wrong, the refusal names it."""
    drive = await server.open()
    shown = await drive.reset()
    bad, last = drive.actions(shown), len(server.pairs) - 1
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
