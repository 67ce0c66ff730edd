"""An answer is a function of its row: same seed, same answer, whoever is asked and whatever lies beside it."""

from __future__ import annotations

import numpy as np

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.battery import Pair
from agora.conformance.case import expect
from agora.conformance.talk import STEP, Talk, expect_rows, expect_same
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("seeds")
EIGHT = tuple(range(8))


def _ask(talk: Talk, rows: tuple[int, ...] = EIGHT, *, explore: bool, key: int = 4) -> pb.DecisionsRequest:
    frame = talk.frame(rows, key=key)
    if explore:
        for part in frame.agents:
            part.exploration.noise_scale = 0.1
            part.exploration.temperature = 1.0
    return frame


async def _repeat(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    expected = await talk.decide(_ask(talk, explore=explore))
    for _ in range(3):
        expect_same(await talk.decide(_ask(talk, explore=explore)), expected, "for the same frame")


async def _streams(agent: Agent, pair: Pair, *, explore: bool) -> None:
    one, other = await agent.open(pair), await agent.open(pair)
    await other.decide(_ask(other, explore=explore, key=77))
    expected = await one.decide(_ask(one, explore=explore))
    expect_same(await other.decide(_ask(other, explore=explore)), expected, "on another stream")


async def _history(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    expected = await talk.decide(_ask(talk, explore=explore))
    for key in range(5, 10):
        await talk.decide(_ask(talk, (key, key + 1), explore=explore, key=key))
    expect_same(await talk.decide(_ask(talk, explore=explore)), expected, "whatever was asked before")


async def _row_order(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    whole = await talk.decide(_ask(talk, explore=explore))
    back = await talk.decide(_ask(talk, EIGHT[::-1], explore=explore))
    expect_rows(back.agents[0], whole.agents[0], EIGHT[::-1], 8, "rows in another order")


async def _batching(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    whole = await talk.decide(_ask(talk, explore=explore))
    for rows in ((0, 1, 2), (3, 4, 5, 6, 7), (6,)):
        part = await talk.decide(_ask(talk, rows, explore=explore))
        expect_rows(part.agents[0], whole.agents[0], rows, 8, f"rows {list(rows)} alone")


async def _other_rows(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    whole = await talk.decide(_ask(talk, explore=explore))
    mixed, strangers = _ask(talk, explore=explore), _ask(talk, explore=explore, key=40)
    for mine, theirs in zip(mixed.agents[0].observation, strangers.agents[0].observation, strict=True):
        half = len(mine.data) // 2
        mine.data = mine.data[:half] + theirs.data[half:]
    answer = await talk.decide(mixed)
    kept = pb.Decisions()
    kept.CopyFrom(whole)
    _expect_first_half(answer.agents[0], kept.agents[0])


def _expect_first_half(got: pb.Actions, whole: pb.Actions) -> None:
    for mine, theirs in zip(got.action, whole.action, strict=True):
        half = len(theirs.data) // 2
        same = mine.data[:half] == theirs.data[:half]
        expect(same, "the same answers in rows that stayed as they were", "others")


async def _step_forms(agent: Agent, pair: Pair, *, explore: bool) -> None:
    talk = await agent.open(pair)
    expected = await talk.decide(_ask(talk, explore=explore))
    frame = _ask(talk, explore=explore)
    frame.step = STEP + 5
    frame.agents[0].steps = np.full(8, STEP, "<u4").tobytes()
    expect_same(await talk.decide(frame), expected, "whether steps are told by row or by frame")


async def _other_agents(agent: Agent, pair: Pair, *, explore: bool) -> None:
    alone, crowd = await agent.open(pair), await agent.open(pair, pair, pair)
    expected = await alone.decide(_ask(alone, explore=explore))
    got = await crowd.decide(_ask(crowd, explore=explore))
    expect_rows(got.agents[0], expected.agents[0], EIGHT, 8, "other agents in the frame")


CHECKS = {
    "repeated": ("The same frame on the same stream gets the same bytes", _repeat),
    "streams_agree": ("Two streams with the same seed give the same bytes, whatever else they were asked", _streams),
    "history": ("An answer does not depend on the frames before it", _history),
    "row_order": ("Rows in another order get the same answers in that order", _row_order),
    "batching": ("Rows get the same answers in smaller frames", _batching),
    "other_rows": ("A row's answer does not depend on the rows beside it", _other_rows),
    "step_forms": ("Steps by row and by frame mean the same", _step_forms),
    "other_agents": ("An agent's answer does not depend on the agents beside it", _other_agents),
}


def _add(name: str, *, explore: bool) -> None:
    asked, run = CHECKS[name]

    async def check(agent: Agent) -> None:
        if explore:
            agent.need(pb.CAPABILITY_EXPLORATION)
        for pair in list(agent.accepted.values()) or [agent.home]:
            await run(agent, pair, explore=explore)

    TOPIC.add(f"{name}_exploring" if explore else name, f"{asked}{', exploring too' if explore else ''}", check)


for _name in CHECKS:
    for _explore in (False, True):
        _add(_name, explore=_explore)
