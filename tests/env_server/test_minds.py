"""Who is asked what in a step, what is carried from one to the next, and how often somebody silent is asked again."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.codec import from_tensor, to_tensor
from agora.errors import Refused, Unavailable
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.environments.base import Step
from env_server.rollout.decisions import Answer, ports_for
from env_server.rollout.minds import RemoteMinds

AGENTS = ("a", "b", "c")
COPIES = np.array([4, 6, 9], np.uint32)
GAME = SimpleNamespace(
    agents=AGENTS,
    observation_spaces=dict.fromkeys(AGENTS, spaces.Box(0, 999, (), np.int64)),
    action_spaces=dict.fromkeys(AGENTS, spaces.Discrete(1000)),
)
SILENT = Refused(policy_pb2.REASON_DEADLINE, "host", "an answer", "none", retryable=True)
GONE = Unavailable("host:1", "gone")


class Link:
    """Answers what is seen + 1, with a memory that counts up; or fails as the script says, an entry a call."""

    def __init__(self, *agents, script=(), memory=0):
        self.agents, self.addresses, self.memory = agents, ("host:1",), memory
        self.script, self.frames, self.again = list(script), [], 0

    async def post(self, frame, timeout):
        assert timeout == 2.5
        frame.sequence = len(self.frames) + 1
        asked = pb.ActRequest.FromString(frame.encode(2_500_000)).decisions
        self.frames.append(asked)
        outcome = self.script.pop(0) if self.script else "answer"
        if outcome is None:
            return None
        future = asyncio.get_running_loop().create_future()
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(self._answer(asked))
        return future

    async def ask(self, frame, timeout):
        self.again += 1
        asked = pb.ActRequest.FromString(frame.encode(2_500_000)).decisions
        assert timeout == 2.5 and asked == self.frames[-1]
        outcome = self.script.pop(0) if self.script else "answer"
        if isinstance(outcome, Exception):
            raise outcome
        return self._answer(asked)

    def _answer(self, asked):
        said = pb.Decisions(sequence=asked.sequence)
        for part in asked.agents:
            seen = from_tensor(part.observation[0])
            old = np.frombuffer(part.memory, np.uint8) if part.memory else np.zeros(len(seen), np.uint8)
            memory = (old + 1).astype(np.uint8).tobytes() if self.memory else b""
            said.agents.add(
                index=part.index,
                action=[to_tensor(seen + 1)],
                log_prob=to_tensor(np.zeros(len(seen), np.float32)),
                memory=memory,
            )
        return said


def step(*awaited, number=0):
    awaited = np.array(awaited, bool)
    no = np.zeros_like(awaited)
    seen = [{"": 100 * i + 10 * np.arange(3) + number} for i in range(3)]
    return Step(seen, {}, no.astype(float), no, no, awaited)


ALL = [[True] * 3] * 3


def minds(*links, retries=0):
    policies = {agent: policy_pb2.PolicyReference(policy_id=agent) for agent in AGENTS}
    return RemoteMinds(links, ports_for(GAME, policies, None, COPIES), COPIES, 8, 2.5, retries)


def decide(one, *steps):
    async def run():
        found = []
        for number, now in enumerate(steps):
            rows = [np.flatnonzero(column) for column in now.awaited.T]
            found.append(list(await one.decide(number, now, rows)))
        return found

    return asyncio.run(run())


def copies(part):
    return np.frombuffer(part.copies, "<u4").tolist()


def steps(part):
    return np.frombuffer(part.steps, "<u4").tolist()


def test_every_service_is_asked_for_its_agents_in_the_rows_that_await_them():
    one, other = Link(0, 2), Link(1)
    found = decide(
        minds(one, other), step(*ALL), step([True, False, False], [False, False, True], [True, False, False])
    )
    assert [outcome.action[""].tolist() for outcome in found[0]] == [[1, 11, 21], [101, 111, 121], [201, 211, 221]]
    assert [None if outcome is None else outcome.action[""].tolist() for outcome in found[1]] == [[1, 21], None, [211]]
    first, second = one.frames
    assert (first.block, first.step, second.step) == (8, 0, 1) and len(other.frames) == 1
    assert [(part.index, copies(part)) for part in first.agents] == [(0, [4, 6, 9]), (2, [4, 6, 9])]
    assert [(part.index, copies(part)) for part in second.agents] == [(0, [4, 9]), (2, [6])]
    assert [part.policy.policy_id for part in first.agents] == ["a", "c"]


def test_copies_at_their_own_pace_are_told_how_often_each_has_decided():
    """While all are awaited the frame's number says it; ever after each row says it itself."""
    link = Link(0, 1, 2)
    some = step([True, False, False], [True, True, False], [False, True, False])
    decide(minds(link), step(*ALL), step(*ALL), some, some, step(*ALL))
    told = [[(part.index, steps(part)) for part in frame.agents] for frame in link.frames]
    assert told[:2] == [[(0, []), (1, []), (2, [])]] * 2
    # The first frame in which not all are awaited still counts alike for everybody.
    assert told[2] == [(0, []), (1, [])]
    assert told[3] == [(0, [3, 3]), (1, [3, 3])]
    assert told[4] == [(0, [4, 4, 2]), (1, [2, 4, 4]), (2, [2, 2, 2])]


def test_a_decision_that_is_withdrawn_does_not_count():
    link = Link(0, 1, 2)
    one = minds(link)

    async def run():
        rows = [np.array([0, 1]), np.array([2]), np.array([], int)]
        some = step([True, False, False], [True, False, False], [False, True, False])
        for number in range(2):
            await one.decide(number, some, rows)
        one.withdraw(0, np.array([1]))
        await one.decide(2, some, rows)

    asyncio.run(run())
    assert [steps(part) for part in link.frames[2].agents] == [[2, 1], [2]]


def test_memory_is_each_rows_own_and_begins_anew_where_an_episode_does():
    link = Link(0, 1, memory=1)
    one = minds(link, Link(2))
    some = step([True, True, True], [False, True, True], [False, False, True])
    decide(one, step(*ALL), some, some)
    one.forget(np.array([1]))
    decide(one, step(*ALL), step(*ALL))
    memory = [[list(part.memory) for part in frame.agents] for frame in link.frames]
    assert memory == [
        [[], []],
        [[1], [1, 1]],
        [[2], [2, 2]],
        [[3, 0, 1], [3, 0, 1]],
        [[4, 1, 2], [4, 1, 2]],
    ]


@pytest.mark.parametrize(
    ("script", "retries", "again", "outcome"),
    [
        ([], 0, 0, "answer"),
        ([None], 0, 1, "answer"),  # not connected yet
        ([GONE], 0, 1, "answer"),
        ([GONE, GONE], 0, 1, GONE),
        ([GONE, GONE], 1, 2, "answer"),
        ([GONE, SILENT], 1, 2, "answer"),
        ([SILENT], 0, 0, SILENT),
        ([SILENT], 1, 1, "answer"),
        ([SILENT, SILENT], 1, 1, SILENT),
        ([SILENT, SILENT, SILENT], 3, 3, "answer"),
        ([SILENT, GONE, SILENT, SILENT], 3, 3, SILENT),
    ],
)
def test_who_is_silent_is_asked_as_often_again_as_was_said(script, retries, again, outcome):
    link, other = Link(0, 1, script=script), Link(2)
    (found,) = decide(minds(link, other, retries=retries), step(*ALL))
    assert link.again == again and other.again == 0
    assert isinstance(found[2], Answer)
    for mine in found[:2]:
        assert isinstance(mine, Answer) if outcome == "answer" else mine is outcome


@pytest.mark.parametrize("first", [[], [GONE]])
def test_a_refusal_is_not_asked_again(first):
    refusal = Refused(policy_pb2.REASON_STALE, "x", "y", "z", retryable=True)
    link = Link(0, 1, 2, script=[*first, refusal])
    (found,) = decide(minds(link, retries=9), step(*ALL))
    assert found == [refusal] * 3 and link.again == len(first)


def test_one_wrong_answer_costs_nobody_elses():
    class Wrong(Link):
        def _answer(self, asked):
            said = super()._answer(asked)
            said.agents[1].action[0].CopyFrom(to_tensor(np.full(3, 1000)))
            return said

    (found,) = decide(minds(Wrong(0, 1), Link(2)), step(*ALL))
    assert isinstance(found[0], Answer) and isinstance(found[2], Answer)
    assert isinstance(found[1], Refused) and "got 1000" in str(found[1])
