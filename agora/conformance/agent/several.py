"""Several agents on one stream, in ragged frames."""

from __future__ import annotations

import numpy as np

from agora.conformance.agent.subject import Agent, AgentTopic
from agora.conformance.battery import Pair
from agora.conformance.case import NotApplicable, expect_equal
from agora.conformance.talk import Talk, expect_rows
from agora.conformance.values import expect_leaves
from agora.v1 import agent_pb2 as pb

TOPIC = AgentTopic("several")


async def _answered(talk: Talk, frame: pb.DecisionsRequest) -> pb.Decisions:
    """The answer to a frame, each agent in its place with legal values for its own rows."""
    answer = await talk.decide(frame)
    asked = [part.index for part in frame.agents]
    expect_equal([part.index for part in answer.agents], asked, "agents")
    for number, (part, question) in enumerate(zip(answer.agents, frame.agents, strict=True)):
        rows = len(question.copies) // 4
        expect_leaves(part.action, talk.pairs[part.index].done, rows, f"agents[{number}].action")
    return answer


def _two_kinds(agent: Agent) -> tuple[Pair, Pair]:
    found = list(agent.accepted.values())
    if len(found) < 2:
        raise NotApplicable("it plays only one of the spaces tried")
    return found[0], found[1]


@TOPIC.case
async def agents_share_a_stream(agent: Agent) -> None:
    """Three agents on one stream are all answered."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    await _answered(talk, talk.frame())


@TOPIC.case
async def spaces_differ(agent: Agent) -> None:
    """Two agents with different spaces are answered each in its own."""
    talk = await agent.open(*_two_kinds(agent))
    await _answered(talk, talk.frame())


@TOPIC.case
async def all_spaces_at_once(agent: Agent) -> None:
    """An agent for each of the spaces it plays, on one stream."""
    talk = await agent.open(*agent.accepted.values())
    await _answered(talk, talk.frame(range(3)))


@TOPIC.case
async def some_agents_only(agent: Agent) -> None:
    """A frame that asks some of the announced agents is answered by these."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    await _answered(talk, talk.frame(agents=(1,)))
    await _answered(talk, talk.frame(agents=(0, 2)))


@TOPIC.case
async def order_of_the_frame(agent: Agent) -> None:
    """Answers come in the frame's order of agents, whatever the hello's."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    await _answered(talk, talk.frame(agents=(2, 0, 1)))


@TOPIC.case
async def order_does_not_matter(agent: Agent) -> None:
    """An agent's answer is the same wherever in the frame it is asked."""
    talk = await agent.open(agent.home, agent.home)
    forth = await _answered(talk, talk.frame(agents=(0, 1)))
    back = await _answered(talk, talk.frame(agents=(1, 0)))
    for number in (0, 1):
        expect_rows(back.agents[1 - number], forth.agents[number], range(4), 4, f"agent {number}")


@TOPIC.case
async def ragged_rows(agent: Agent) -> None:
    """Agents may be asked for different numbers of rows."""
    talk = await agent.open(agent.home, agent.home, agent.home)
    frame = talk.frame(agents=())
    for index, rows in enumerate(((0, 1, 2, 3, 4), (), (2,))):
        frame.agents.extend(talk.frame(rows, (index,)).agents)
    await _answered(talk, frame)


@TOPIC.case
async def rows_of_different_copies(agent: Agent) -> None:
    """Agents of one frame may be asked for different copies."""
    talk = await agent.open(agent.home, agent.home)
    frame = talk.frame((0, 2, 4), (0,))
    frame.agents.extend(talk.frame((1, 3, 5), (1,)).agents)
    await _answered(talk, frame)


@TOPIC.case
async def copies_are_missing(agent: Agent) -> None:
    """A frame may leave out copies, the first ones too."""
    talk = await agent.open()
    await _answered(talk, talk.frame((3, 8, 9, 700)))


@TOPIC.case
async def copies_in_any_order(agent: Agent) -> None:
    """The copies of a frame may come in any order."""
    talk = await agent.open()
    await _answered(talk, talk.frame((9, 2, 5)))


@TOPIC.case
async def last_copy(agent: Agent) -> None:
    """The last copy that an environment can have is answered."""
    talk = await agent.open()
    await _answered(talk, talk.frame((65_535,)))


@TOPIC.case
async def rows_have_their_own_steps(agent: Agent) -> None:
    """Rows may be at steps of their own."""
    talk = await agent.open()
    frame = talk.frame()
    frame.agents[0].steps = np.asarray([5, 0, 70_000, 5], "<u4").tobytes()
    await _answered(talk, frame)


@TOPIC.case
async def steps_of_one_agent_only(agent: Agent) -> None:
    """One agent may give steps while another is at the frame's."""
    talk = await agent.open(agent.home, agent.home)
    frame = talk.frame()
    frame.agents[1].steps = np.asarray([5, 1, 2, 3], "<u4").tobytes()
    await _answered(talk, frame)


@TOPIC.case
async def many_agents(agent: Agent) -> None:
    """Fifty agents share a stream."""
    talk = await agent.crowd(range(50))
    await _answered(talk, talk.frame())
