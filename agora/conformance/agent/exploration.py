"""Exploring departs from the greedy action as it was told to, and no further."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor
from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.battery import Pair
from agora.conformance.case import NotApplicable, expect
from agora.conformance.talk import Talk, expect_rows, expect_same
from agora.conformance.values import expect_leaves
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("exploration")
MANY = tuple(range(32))


async def _explore(talk: Talk, noise: float = 0.5, temperature: float = 1.0, rows: bytes = b"") -> pb.Actions:
    frame = talk.frame(MANY)
    exploration = pb.Exploration(noise_scale=noise, temperature=temperature, rows=rows)
    frame.agents[0].exploration.CopyFrom(exploration)
    return (await talk.decide(frame)).agents[0]


@TOPIC.case
async def stays_within_bounds(agent: Agent) -> None:
    """However much noise there is, actions stay in the action space."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    for pair in agent.accepted.values():
        talk = await agent.open(pair)
        for noise in (0.01, 10.0):
            answer = await _explore(talk, noise)
            expect_leaves(answer.action, pair.done, len(MANY), f"{pair.name}: action")


@TOPIC.case
async def log_probabilities_are_finite(agent: Agent) -> None:
    """Exploring rows have finite log-probabilities."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    for pair in agent.accepted.values():
        array = from_tensor((await _explore(await agent.open(pair))).log_prob, "log_prob")
        fine = array.dtype == np.float32 and array.shape == (len(MANY),) and bool(np.isfinite(array).all())
        expect(fine, f"{pair.name}: finite float32 [{len(MANY)}]", f"{array.dtype} {array.tolist()}")


@TOPIC.case
async def no_rows_explore(agent: Agent) -> None:
    """Where no row explores, answers are the greedy ones."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    for pair in agent.accepted.values():
        talk = await agent.open(pair)
        greedy = await talk.decide(talk.frame(MANY))
        answer = await _explore(talk, rows=bytes(len(MANY)))
        expect_rows(answer, greedy.agents[0], MANY, len(MANY), f"{pair.name}: no row explores")


@TOPIC.case
async def some_rows_explore(agent: Agent) -> None:
    """Rows that do not explore act greedily, beside others that do."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    for pair in agent.accepted.values():
        talk = await agent.open(pair)
        greedy = (await talk.decide(talk.frame(MANY))).agents[0]
        mixed = await _explore(talk, rows=bytes([0, 1] * (len(MANY) // 2)))
        for number, (mine, theirs) in enumerate(zip(mixed.action, greedy.action, strict=True)):
            same = (from_tensor(mine)[::2] == from_tensor(theirs)[::2]).all()
            expect(bool(same), f"{pair.name}: greedy even rows in action[{number}]", "others")


@TOPIC.case
async def no_spread_is_greedy(agent: Agent) -> None:
    """Exploring without noise is repeatable: the same frame gets the same bytes."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    talk = await agent.open()
    frame = talk.frame(MANY)
    frame.agents[0].exploration.SetInParent()
    expect_same(await talk.decide(frame), await talk.decide(frame), "for the same frame")


async def _exploring(agent: Agent) -> Pair:
    """The first spaces in which its policy departs from the greedy action."""
    agent.need(pb.CAPABILITY_EXPLORATION)
    for pair in agent.accepted.values():
        talk = await agent.open(pair)
        greedy = (await talk.decide(talk.frame(MANY))).agents[0]
        if [tensor.data for tensor in (await _explore(talk)).action] != [tensor.data for tensor in greedy.action]:
            return pair
    raise NotApplicable("its policy settles its actions itself")


async def _draws(agent: Agent, pair: Pair, seed: int) -> list[bytes]:
    talk = await agent.open(pair, seed=seed)
    return [tensor.data for tensor in (await _explore(talk)).action]


@TOPIC.recommended
async def seeds_differ(agent: Agent) -> None:
    """Another seed in the hello makes other draws."""
    pair = await _exploring(agent)
    expect(await _draws(agent, pair, 1) != await _draws(agent, pair, 2), "other draws", "the same")


@TOPIC.recommended
async def copies_differ(agent: Agent) -> None:
    """Copies that see the same do not all explore in the same way."""
    pair = await _exploring(agent)
    talk = await agent.open(pair)
    frame = talk.frame(MANY)
    for tensor in frame.agents[0].observation:
        tensor.data = tensor.data[: len(tensor.data) // len(MANY)] * len(MANY)
    frame.agents[0].exploration.CopyFrom(pb.Exploration(noise_scale=0.5, temperature=1.0))
    arrays = [from_tensor(tensor) for tensor in (await talk.decide(frame)).agents[0].action]
    differ = any(len(np.unique(array, axis=0)) > 1 for array in arrays)
    expect(differ, "draws that differ between copies", "the same in all")
