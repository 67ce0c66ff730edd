"""Frames that are wrong in one thing are refused in words, and the next good frame is answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.refusals import Reason, expect_refusal
from agora.conformance.talk import Talk, expect_same
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2

TOPIC = AgentTopic("errors")
Change = Callable[[pb.Observations], None]


async def expect_refused(talk: Talk, frame: pb.DecisionsRequest, reason: Reason, field: str) -> None:
    """Fail unless a frame is refused so, and good frames around it get the same answer."""
    before = await talk.decide(talk.frame())
    expect_refusal(await talk.refused(frame), frame.sequence, reason, field)
    expect_same(await talk.decide(talk.frame()), before, "for the next good frame")


def wrong(reason: Reason, field: str, *, needs: pb.Capability.ValueType | None = None) -> Callable[[Change], Change]:
    """A case: what a function changes in a good frame must be refused."""

    def add(change: Change) -> Change:
        async def check(agent: Agent) -> None:
            if needs is not None:
                agent.need(needs)
            talk = await agent.open()
            frame = talk.frame()
            change(frame.agents[0])
            await expect_refused(talk, frame, reason, f"agents[0].{field}")

        TOPIC.add(change.__name__, change.__doc__ or "", check)
        return change

    return add


@wrong(policy_pb2.REASON_UNKNOWN_AGENT, "index")
def unknown_agent(part: pb.Observations) -> None:
    """An agent that the hello did not announce is refused."""
    part.index = 77


@wrong(policy_pb2.REASON_SHAPE, "copies")
def torn_copies(part: pb.Observations) -> None:
    """Copies that are not four bytes each are refused."""
    part.copies += b"\x00"


@wrong(policy_pb2.REASON_OUT_OF_BOUNDS, "copies")
def impossible_copy(part: pb.Observations) -> None:
    """A copy's number that no environment can have is refused."""
    part.copies = np.asarray([0, 1, 2, 65_536], "<u4").tobytes()


@wrong(policy_pb2.REASON_SHAPE, "steps")
def torn_steps(part: pb.Observations) -> None:
    """Steps that are not four bytes each are refused."""
    part.steps = bytes(15)


@wrong(policy_pb2.REASON_SHAPE, "steps")
def too_few_steps(part: pb.Observations) -> None:
    """Fewer steps than rows are refused."""
    part.steps = bytes(8)


@wrong(policy_pb2.REASON_SHAPE, "observation")
def leaf_missing(part: pb.Observations) -> None:
    """An observation with a leaf too few is refused."""
    del part.observation[-1]


@wrong(policy_pb2.REASON_SHAPE, "observation")
def leaf_too_many(part: pb.Observations) -> None:
    """An observation with a leaf too many is refused."""
    part.observation.append(part.observation[0])


@wrong(policy_pb2.REASON_DATA_TYPE, "observation[0]")
def no_data_type(part: pb.Observations) -> None:
    """A leaf without a data type is refused."""
    part.observation[0].data_type = tensor_pb2.DATA_TYPE_UNSPECIFIED


@wrong(policy_pb2.REASON_DATA_TYPE, "observation[0]")
def data_type_of_later_release(part: pb.Observations) -> None:
    """A data type from a later release is refused."""
    part.observation[0].data_type = 99  # type: ignore[assignment]


@wrong(policy_pb2.REASON_DATA_TYPE, "observation[0]")
def other_data_type(part: pb.Observations) -> None:
    """A well-formed leaf of another data type is refused."""
    array = from_tensor(part.observation[0])
    other = np.float32 if array.dtype != np.float32 else np.float64
    part.observation[0].CopyFrom(to_tensor(array.astype(other)))


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def row_missing(part: pb.Observations) -> None:
    """A leaf with fewer rows than copies is refused."""
    part.observation[0].CopyFrom(to_tensor(from_tensor(part.observation[0])[:-1]))


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def row_too_many(part: pb.Observations) -> None:
    """A leaf with more rows than copies is refused."""
    array = from_tensor(part.observation[0])
    part.observation[0].CopyFrom(to_tensor(np.concatenate([array, array[:1]])))


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def axis_too_many(part: pb.Observations) -> None:
    """A leaf with an axis too many is refused."""
    part.observation[0].shape.append(1)


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def no_axes(part: pb.Observations) -> None:
    """A leaf without axes is refused."""
    del part.observation[0].shape[:]


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def negative_axis(part: pb.Observations) -> None:
    """A leaf with an axis of length -1 is refused."""
    part.observation[0].shape[0] = -1


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def huge_axis(part: pb.Observations) -> None:
    """A leaf that claims 2**40 rows is refused, and nobody makes room for them."""
    part.observation[0].shape[0] = 2**40


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def byte_missing(part: pb.Observations) -> None:
    """A leaf with a byte too few is refused."""
    part.observation[0].data = part.observation[0].data[:-1]


@wrong(policy_pb2.REASON_SHAPE, "observation[0]")
def byte_too_many(part: pb.Observations) -> None:
    """A leaf with a byte too many is refused."""
    part.observation[0].data += b"\x00"


@wrong(policy_pb2.REASON_SHAPE, "action_mask", needs=pb.CAPABILITY_ACTION_MASK)
def too_many_masks(part: pb.Observations) -> None:
    """More masks than the action has leaves are refused."""
    part.action_mask.extend([tensor_pb2.Tensor()] * 50)


@wrong(policy_pb2.REASON_OUT_OF_BOUNDS, "exploration.noise_scale", needs=pb.CAPABILITY_EXPLORATION)
def negative_noise(part: pb.Observations) -> None:
    """Negative noise is refused."""
    part.exploration.noise_scale = -0.1


@wrong(policy_pb2.REASON_NOT_FINITE, "exploration.noise_scale", needs=pb.CAPABILITY_EXPLORATION)
def noise_without_number(part: pb.Observations) -> None:
    """Noise that is NaN is refused."""
    part.exploration.noise_scale = float("nan")


@wrong(policy_pb2.REASON_OUT_OF_BOUNDS, "exploration.temperature", needs=pb.CAPABILITY_EXPLORATION)
def negative_temperature(part: pb.Observations) -> None:
    """A negative temperature is refused."""
    part.exploration.temperature = -1.0


@wrong(policy_pb2.REASON_NOT_FINITE, "exploration.temperature", needs=pb.CAPABILITY_EXPLORATION)
def infinite_temperature(part: pb.Observations) -> None:
    """An infinite temperature is refused."""
    part.exploration.temperature = float("inf")


@wrong(policy_pb2.REASON_SHAPE, "exploration.rows", needs=pb.CAPABILITY_EXPLORATION)
def too_few_exploring_rows(part: pb.Observations) -> None:
    """A choice of exploring rows that leaves out rows is refused."""
    part.exploration.rows = b"\x01"
