"""Answers are values of the action space, whatever the spaces and the number of rows."""

from __future__ import annotations

import numpy as np

from agora.codec import from_tensor
from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.battery import BATTERY, Pair
from agora.conformance.case import NotApplicable, expect, expect_equal
from agora.conformance.talk import Talk
from agora.conformance.values import edge, expect_leaves, tensors
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("shapes")


async def _answer(talk: Talk, rows: int) -> pb.Actions:
    """The answer to ``rows`` rows of the only agent."""
    answer = await talk.decide(talk.frame(range(rows)))
    expect_equal(len(answer.agents), 1, "agents answered:")
    return answer.agents[0]


async def _legal(talk: Talk, rows: int) -> None:
    answer = await _answer(talk, rows)
    expect_leaves(answer.action, talk.pairs[0].done, rows, "action")


async def _rows(talk: Talk, rows: int) -> None:
    answer = await _answer(talk, rows)
    for number, tensor in enumerate((*answer.action, answer.log_prob)):
        expect_equal(list(tensor.shape[:1]), [rows], f"rows of tensor {number}:")


def _space_case(pair: Pair) -> None:
    async def check(agent: Agent) -> None:
        if pair.name not in agent.accepted:
            raise NotApplicable("it does not play these spaces")
        await _legal(await agent.open(pair), 7)

    TOPIC.add(f"space_{pair.name}", f"Answers lie in the action space: {pair.name}", check)


for _pair in BATTERY:
    _space_case(_pair)


@TOPIC.case
async def plays_some_spaces(agent: Agent) -> None:
    """The agent plays some of the spaces tried."""
    await _answer(await agent.open(agent.home), 4)


@TOPIC.case
async def number_of_leaves(agent: Agent) -> None:
    """Every leaf of the action space is answered."""
    for pair in agent.accepted.values():
        answer = await _answer(await agent.open(pair), 3)
        expect_equal(len(answer.action), len(pair.done), f"leaves of {pair.name}:")


@TOPIC.case
async def data_types(agent: Agent) -> None:
    """Every leaf has the action space's element type."""
    for pair in agent.accepted.values():
        answer = await _answer(await agent.open(pair), 3)
        for number, (tensor, leaf) in enumerate(zip(answer.action, pair.done, strict=False)):
            expected = tensors([np.empty(0, leaf.dtype)])[0].data_type
            expect_equal(tensor.data_type, expected, f"{pair.name}: action[{number}]: data type")


@TOPIC.case
async def axes(agent: Agent) -> None:
    """Every leaf has the rows first, and then the action space's axes."""
    for pair in agent.accepted.values():
        answer = await _answer(await agent.open(pair), 3)
        for number, (tensor, leaf) in enumerate(zip(answer.action, pair.done, strict=False)):
            expect_equal(list(tensor.shape), [3, *leaf.shape], f"{pair.name}: action[{number}]: shape")


@TOPIC.case
async def finite(agent: Agent) -> None:
    """No answer holds NaN or infinity."""
    for pair in agent.accepted.values():
        answer = await _answer(await agent.open(pair), 8)
        for number, tensor in enumerate(answer.action):
            array = from_tensor(tensor, f"action[{number}]")
            expect(bool(np.isfinite(array).all()), f"{pair.name}: finite numbers in action[{number}]", array.tolist())


@TOPIC.case
async def within_bounds(agent: Agent) -> None:
    """No answer lies outside the action space's bounds."""
    for pair in agent.accepted.values():
        answer = await _answer(await agent.open(pair), 8)
        for number, (tensor, leaf) in enumerate(zip(answer.action, pair.done, strict=False)):
            array = from_tensor(tensor, f"action[{number}]")
            inside = not ((array < leaf.low) | (array > leaf.high)).any()
            expect(inside, f"{pair.name}: action[{number}] in [{leaf.low}, {leaf.high}]", array.tolist())


@TOPIC.case
async def no_rows(agent: Agent) -> None:
    """An agent that is asked for no copy gets an answer without rows."""
    await _rows(await agent.open(), 0)


@TOPIC.case
async def no_agents(agent: Agent) -> None:
    """A frame that asks nobody is answered by nobody's decisions."""
    talk = await agent.open()
    expect_equal(len((await talk.decide(talk.frame(agents=()))).agents), 0, "agents answered:")


@TOPIC.case
async def one_row(agent: Agent) -> None:
    """One row is answered by one."""
    await _rows(await agent.open(), 1)


@TOPIC.case
async def many_rows(agent: Agent) -> None:
    """A thousand rows are answered by a thousand."""
    await _rows(await agent.open(), 1000)


@TOPIC.case
async def number_of_rows_changes(agent: Agent) -> None:
    """The number of rows may change from frame to frame."""
    talk = await agent.open()
    for rows in (3, 1, 9, 0, 5):
        await _rows(talk, rows)


async def _on_the_edge(agent: Agent, *, upper: bool) -> None:
    for pair in agent.accepted.values():
        talk = await agent.open(pair)
        frame = talk.frame(range(2))
        del frame.agents[0].observation[:]
        frame.agents[0].observation.extend(tensors([edge(leaf, 2, upper=upper) for leaf in pair.seen]))
        answer = await talk.decide(frame)
        expect_leaves(answer.agents[0].action, pair.done, 2, f"{pair.name}: action")


@TOPIC.case
async def lower_bounds(agent: Agent) -> None:
    """Observations on the lower bounds are answered."""
    await _on_the_edge(agent, upper=False)


@TOPIC.case
async def upper_bounds(agent: Agent) -> None:
    """Observations on the upper bounds are answered."""
    await _on_the_edge(agent, upper=True)


@TOPIC.case
async def log_probabilities(agent: Agent) -> None:
    """Log-probabilities are finite float32, one a row."""
    answer = await _answer(await agent.open(), 5)
    array = from_tensor(answer.log_prob, "log_prob")
    expect_equal((array.dtype.name, array.shape), ("float32", (5,)), "log_prob:")
    expect(bool(np.isfinite(array).all()), "finite numbers in log_prob", array.tolist())


@TOPIC.case
async def greedy_has_no_log_probability(agent: Agent) -> None:
    """Without exploration every log-probability is 0."""
    array = from_tensor((await _answer(await agent.open(), 5)).log_prob, "log_prob")
    expect(not array.any(), "zeros in log_prob", array.tolist())


@TOPIC.case
async def policy_is_named(agent: Agent) -> None:
    """Every answer names the policy that acted, and its version."""
    answer = await _answer(await agent.open(), 2)
    expect(answer.HasField("version"), "a version", "none")
    expect(agent.policy_id in ("", answer.policy_id), f"policy_id {agent.policy_id}", answer.policy_id or "none")
