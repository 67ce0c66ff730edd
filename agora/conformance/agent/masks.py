"""Legal-action masks are kept."""

from __future__ import annotations

import numpy as np

from agora.codec import to_tensor
from agora.conformance.agent.subject import Agent, AgentTopic, some_leaf
from agora.conformance.battery import Pair
from agora.conformance.talk import Talk, expect_same
from agora.conformance.values import Array, expect_leaves, expect_unmasked, lone_mask, masks_apply, random_mask
from agora.v1 import agent_pb2 as pb, tensor_pb2

TOPIC = AgentTopic("masks")
ROWS = 16


def _choosing(agent: Agent) -> Pair:
    agent.need(pb.CAPABILITY_ACTION_MASK)
    return agent.pair_where(lambda pair: some_leaf(pair.done, masks_apply) >= 0, "choices to mask")


def _masked(talk: Talk, masks: dict[int, Array], rows: int) -> pb.DecisionsRequest:
    """A frame with masks of some leaves, by the leaf's number; the others have no restriction."""
    frame = talk.frame(range(rows))
    for number in range(len(talk.pairs[0].done)):
        frame.agents[0].action_mask.append(to_tensor(masks[number]) if number in masks else tensor_pb2.Tensor())
    return frame


async def _kept(agent: Agent, pair: Pair, make: str, key: int = 0) -> None:
    talk = await agent.open(pair)
    rows = np.arange(ROWS)
    masks: dict[int, Array] = {}
    for number, leaf in enumerate(pair.done):
        if masks_apply(leaf):
            drawn = random_mask(leaf, rows, key + number)
            masks[number] = drawn if make == "random" else lone_mask(leaf, ROWS, last=make == "last")
    answer = await talk.decide(_masked(talk, masks, ROWS))
    arrays = expect_leaves(answer.agents[0].action, pair.done, ROWS, "action")
    for number, mask in masks.items():
        expect_unmasked(arrays[number], mask, pair.done[number], f"action[{number}]")


@TOPIC.case
async def first_choice_only(agent: Agent) -> None:
    """Where only the first choice is legal, it is taken."""
    await _kept(agent, _choosing(agent), "first")


@TOPIC.case
async def last_choice_only(agent: Agent) -> None:
    """Where only the last choice is legal, it is taken."""
    await _kept(agent, _choosing(agent), "last")


@TOPIC.case
async def masks_differ_by_row(agent: Agent) -> None:
    """Every row keeps its own mask."""
    pair = _choosing(agent)
    for key in range(5):
        await _kept(agent, pair, "random", 10 * key)


@TOPIC.case
async def several_elements(agent: Agent) -> None:
    """Every element of a MultiDiscrete action keeps its own part of the mask."""
    agent.need(pb.CAPABILITY_ACTION_MASK)
    pair = agent.pair_where(lambda p: some_leaf(p.done, lambda leaf: len(leaf.choices) > 1) >= 0, "several choices")
    await _kept(agent, pair, "random")


@TOPIC.case
async def leaf_without_restriction(agent: Agent) -> None:
    """An empty tensor among the masks leaves its leaf unrestricted."""
    _choosing(agent)
    pair = agent.pair_where(
        lambda p: len(p.done) > 1 and some_leaf(p.done, masks_apply) >= 0, "choices among several leaves"
    )
    await _kept(agent, pair, "last")


@TOPIC.case
async def slots_of_boxes(agent: Agent) -> None:
    """A mask over the elements of a Box is taken: 0 means that the element is ignored."""
    agent.need(pb.CAPABILITY_ACTION_MASK)
    pair = agent.pair_where(lambda p: some_leaf(p.done, lambda leaf: leaf.dtype.kind == "f") >= 0, "a real action")
    number = some_leaf(pair.done, lambda leaf: leaf.dtype.kind == "f")
    talk = await agent.open(pair)
    mask = np.ones((ROWS, *pair.done[number].shape), np.uint8)
    mask[::2] = 0
    answer = await talk.decide(_masked(talk, {number: mask}, ROWS))
    expect_leaves(answer.agents[0].action, pair.done, ROWS, "action")


@TOPIC.case
async def masks_come_and_go(agent: Agent) -> None:
    """A frame without masks after one with masks has all choices again."""
    pair = _choosing(agent)
    talk = await agent.open(pair)
    before = await talk.decide(talk.frame())
    number = some_leaf(pair.done, masks_apply)
    await talk.decide(_masked(talk, {number: lone_mask(pair.done[number], ROWS, last=True)}, ROWS))
    expect_same(await talk.decide(talk.frame()), before, "as before the mask")


@TOPIC.case
async def masked_exploration(agent: Agent) -> None:
    """Masks are kept where the agent explores, too."""
    pair = _choosing(agent)
    agent.need(pb.CAPABILITY_EXPLORATION)
    talk = await agent.open(pair)
    number = some_leaf(pair.done, masks_apply)
    mask = random_mask(pair.done[number], np.arange(ROWS), 3)
    frame = _masked(talk, {number: mask}, ROWS)
    frame.agents[0].exploration.temperature = 5.0
    arrays = expect_leaves((await talk.decide(frame)).agents[0].action, pair.done, ROWS, "action")
    expect_unmasked(arrays[number], mask, pair.done[number], f"action[{number}]")
