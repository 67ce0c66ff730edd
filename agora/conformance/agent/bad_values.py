"""Values that no space allows, masks that allow nothing, and refusals in number; cases of the topic *errors*."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from agora.codec import from_tensor, to_tensor
from agora.conformance.agent.errors import expect_refused
from agora.conformance.agent.subject import Agent, AgentTopic, some_leaf
from agora.conformance.battery import Pair
from agora.conformance.case import expect
from agora.conformance.refusals import Reason
from agora.conformance.talk import expect_same
from agora.conformance.values import Array, edge, lone_mask, masks_apply
from agora.spaces import Leaf
from agora.v1 import agent_pb2 as pb, policy_pb2, tensor_pb2

TOPIC = AgentTopic("errors")


def _seeing(agent: Agent, holds: Callable[[Leaf], bool], what: str) -> tuple[Pair, int]:
    pair = agent.pair_where(lambda p: some_leaf(p.seen, holds) >= 0, what)
    return pair, some_leaf(pair.seen, holds)


async def _bad_value(
    agent: Agent, holds: Callable[[Leaf], bool], what: str, spoil: Callable[[Array, Leaf], None], reason: Reason
) -> None:
    pair, number = _seeing(agent, holds, what)
    talk = await agent.open(pair)
    frame = talk.frame()
    array = from_tensor(frame.agents[0].observation[number]).copy()
    spoil(array, pair.seen[number])
    frame.agents[0].observation[number].CopyFrom(to_tensor(array))
    await expect_refused(talk, frame, reason, f"agents[0].observation[{number}]")


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
    await expect_refused(talk, frame, policy_pb2.REASON_SHAPE, f"agents[0].observation[{last}]")


@TOPIC.case
async def wrong_agent_is_named(agent: Agent) -> None:
    """Where the second agent of a frame is wrong, the refusal names its place in the frame, and nobody is answered."""
    talk = await agent.open(agent.home, agent.home, numbers=(1, 0))
    frame = talk.frame()
    frame.agents[1].observation[0].data += b"\x00"
    await expect_refused(talk, frame, policy_pb2.REASON_SHAPE, "agents[1].observation[0]")


@TOPIC.case
async def frame_is_too_small_for_its_agents(agent: Agent) -> None:
    """An agent without any observation is refused."""
    talk = await agent.open()
    frame = talk.frame()
    del frame.agents[0].observation[:]
    await expect_refused(talk, frame, policy_pb2.REASON_SHAPE, "agents[0].observation")


async def _bad_mask(agent: Agent, spoil: Callable[[Array], Array], reason: Reason) -> None:
    agent.need(pb.CAPABILITY_ACTION_MASK)
    pair = agent.pair_where(lambda p: some_leaf(p.done, masks_apply) >= 0, "choices to mask")
    number = some_leaf(pair.done, masks_apply)
    talk = await agent.open(pair)
    frame = talk.frame()
    mask = spoil(lone_mask(pair.done[number], 4, last=False))
    frame.agents[0].action_mask.extend(
        to_tensor(mask) if i == number else tensor_pb2.Tensor() for i in range(len(pair.done))
    )
    await expect_refused(talk, frame, reason, f"agents[0].action_mask[{number}]")


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
