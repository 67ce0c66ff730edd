"""Frames that are wrong in one thing are refused in words, and the next good frame is answered."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.agent.subject import Agent, AgentTopic, some_leaf
from agora.conformance.battery import Pair
from agora.conformance.case import expect
from agora.conformance.refusals import Reason, expect_refusal
from agora.conformance.talk import Talk, expect_same
from agora.conformance.values import Array, edge, lone_mask, masks_apply
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2

TOPIC = AgentTopic("errors")
Change = Callable[[pb.Observations], None]


async def _refused(talk: Talk, frame: pb.DecisionsRequest, reason: Reason, field: str) -> None:
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
            await _refused(talk, frame, reason, f"agents[0].{field}")

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


def _seeing(agent: Agent, holds: Callable[[Leaf], bool], what: str) -> tuple[Pair, int]:
    pair = agent.pair_where(lambda p: some_leaf(p.seen, holds) >= 0, what)
    return pair, some_leaf(pair.seen, holds)


async def _bad_value(agent: Agent, holds: Callable[[Leaf], bool], what: str, spoil: Callable[[Array, Leaf], None],
                     reason: Reason) -> None:  # fmt: skip
    pair, number = _seeing(agent, holds, what)
    talk = await agent.open(pair)
    frame = talk.frame()
    array = from_tensor(frame.agents[0].observation[number]).copy()
    spoil(array, pair.seen[number])
    frame.agents[0].observation[number].CopyFrom(to_tensor(array))
    await _refused(talk, frame, reason, f"agents[0].observation[{number}]")


def _real(leaf: Leaf) -> bool:
    return leaf.dtype.kind == "f"


def _room_above(leaf: Leaf) -> bool:
    most = np.finfo(leaf.dtype).max if _real(leaf) else np.iinfo(leaf.dtype).max
    return bool(np.max(leaf.high) < most)


def _room_below(leaf: Leaf) -> bool:
    least = np.finfo(leaf.dtype).min if _real(leaf) else np.iinfo(leaf.dtype).min
    return bool(np.min(leaf.low) > least)


def _put(value: float) -> Callable[[Array, Leaf], None]:
    def spoil(array: Array, leaf: Leaf) -> None:
        array.flat[-1] = value

    return spoil


def _above(array: Array, leaf: Leaf) -> None:
    array[...] = edge(leaf, len(array), upper=True)
    array.flat[-1] += 1


def _below(array: Array, leaf: Leaf) -> None:
    array[...] = edge(leaf, len(array), upper=False)
    array.flat[-1] -= 1


@TOPIC.case
async def not_a_number(agent: Agent) -> None:
    """An observation with a NaN is refused."""
    await _bad_value(agent, _real, "a real observation", _put(float("nan")), policy_pb2.REASON_NOT_FINITE)


@TOPIC.case
async def infinite(agent: Agent) -> None:
    """An observation with an infinity is refused."""
    await _bad_value(agent, _real, "a real observation", _put(float("-inf")), policy_pb2.REASON_NOT_FINITE)


@TOPIC.case
async def above_the_bounds(agent: Agent) -> None:
    """An observation above its upper bound is refused."""
    await _bad_value(agent, _room_above, "room above a bound", _above, policy_pb2.REASON_OUT_OF_BOUNDS)


@TOPIC.case
async def below_the_bounds(agent: Agent) -> None:
    """An observation below its lower bound is refused."""
    await _bad_value(agent, _room_below, "room below a bound", _below, policy_pb2.REASON_OUT_OF_BOUNDS)


@TOPIC.case
async def choice_that_is_none(agent: Agent) -> None:
    """An observed choice behind the last is refused."""
    await _bad_value(agent, lambda leaf: bool(leaf.choices), "choices to see", _above, policy_pb2.REASON_OUT_OF_BOUNDS)


@TOPIC.case
async def wrong_leaf_is_named(agent: Agent) -> None:
    """Where a later leaf is wrong, the refusal names that leaf."""
    pair = agent.pair_where(lambda p: len(p.seen) > 1, "several leaves")
    talk = await agent.open(pair)
    frame = talk.frame()
    last = len(pair.seen) - 1
    frame.agents[0].observation[last].data += b"\x00"
    await _refused(talk, frame, policy_pb2.REASON_SHAPE, f"agents[0].observation[{last}]")


@TOPIC.case
async def wrong_agent_is_named(agent: Agent) -> None:
    """Where the second agent of a frame is wrong, the refusal names its place in the frame, and nobody is answered."""
    talk = await agent.open(agent.home, agent.home, numbers=(1, 0))
    frame = talk.frame()
    frame.agents[1].observation[0].data += b"\x00"
    await _refused(talk, frame, policy_pb2.REASON_SHAPE, "agents[1].observation[0]")


@TOPIC.case
async def frame_is_too_small_for_its_agents(agent: Agent) -> None:
    """An agent without any observation is refused."""
    talk = await agent.open()
    frame = talk.frame()
    del frame.agents[0].observation[:]
    await _refused(talk, frame, policy_pb2.REASON_SHAPE, "agents[0].observation")


async def _bad_mask(agent: Agent, spoil: Callable[[Array], Array], reason: Reason) -> None:
    agent.need(pb.CAPABILITY_ACTION_MASK)
    pair = agent.pair_where(lambda p: some_leaf(p.done, masks_apply) >= 0, "choices to mask")
    number = some_leaf(pair.done, masks_apply)
    talk = await agent.open(pair)
    frame = talk.frame()
    mask = spoil(lone_mask(pair.done[number], 4, last=False))
    frame.agents[0].action_mask.extend(to_tensor(mask) if i == number else tensor_pb2.Tensor()
                                       for i in range(len(pair.done)))  # fmt: skip
    await _refused(talk, frame, reason, f"agents[0].action_mask[{number}]")


@TOPIC.case
async def mask_of_other_type(agent: Agent) -> None:
    """A mask that is not uint8 is refused."""
    await _bad_mask(agent, lambda mask: mask.astype(np.int64), policy_pb2.REASON_DATA_TYPE)


@TOPIC.case
async def mask_of_other_shape(agent: Agent) -> None:
    """A mask with a choice too few is refused."""
    await _bad_mask(agent, lambda mask: np.ascontiguousarray(mask[:, :-1]), policy_pb2.REASON_SHAPE)


@TOPIC.case
async def mask_without_choice(agent: Agent) -> None:
    """A mask that leaves a row no legal choice is refused."""
    await _bad_mask(agent, np.zeros_like, policy_pb2.REASON_OUT_OF_BOUNDS)


@TOPIC.case
async def many_refusals(agent: Agent) -> None:
    """A hundred refused frames on one stream do no harm."""
    talk = await agent.open()
    expected = await talk.decide(talk.frame())
    for _ in range(100):
        frame = talk.frame()
        frame.agents[0].copies = b"1"
        refusal = await talk.refused(frame)
        expect(refusal.sequence == frame.sequence, f"sequence {frame.sequence}", refusal.sequence)
    expect_same(await talk.decide(talk.frame()), expected, "after a hundred refusals")
