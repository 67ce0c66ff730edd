"""Agents' minds behind the wire: one frame per agent service and step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agora.errors import AgoraError, Refused, Unavailable
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.environments.base import Step
from env_server.rollout.answers import AnswerReader
from env_server.rollout.decisions import AgentPort, Answer
from env_server.rollout.frame import Frame, FramePart
from env_server.rollout.link import AgentLink

Rows = Sequence[NDArray[np.intp]]
Outcome = Answer | AgoraError | None


@dataclass(frozen=True, slots=True)
class Asked:
    """What one agent service is asked in a step, for which agents, and what reads its answer."""

    link: AgentLink
    agents: Sequence[int]
    frame: Frame
    answers: AnswerReader


class RemoteMinds:
    """Asks agent services for decisions and carries their policies' memory, for one block."""

    def __init__(
        self,
        links: Sequence[AgentLink],
        ports: Sequence[AgentPort],
        copies: NDArray[np.uint32],
        block: int,
        timeout: float,
        retries: int = 0,
    ) -> None:
        """Prepare the frames that every step fills.

        Args:
            links: the agent services; together they answer for all agents.
            ports: one per agent.
            copies: their numbers, uint32 (B,).
            block: the block's number.
            timeout: seconds a service may take for a frame.
            retries: how often a frame that was not answered in that time is asked again.
        """
        self._links = links
        self._ports = ports
        self._copies = copies
        self._block = block
        self._timeout = timeout
        self._retries = retries
        self._memory = [np.zeros((len(copies), 0), np.uint8) for _ in ports]
        self._decided = np.zeros((len(ports), len(copies)), np.uint32)
        self._in_step = True
        everyone = [np.arange(len(copies))] * len(ports)
        self._usual = [self._asked(link, link.agents, everyone) for link in links]

    async def decide(self, number: int, step: Step, rows: Rows) -> Sequence[Outcome]:
        """Ask every service at once; see ``Minds.decide``."""
        outcomes: list[Outcome] = [None] * len(self._ports)
        asked = []
        for usual in self._usual:
            agents = [i for i in usual.agents if len(rows[i])]
            if agents:
                all_of_them = sum(len(rows[i]) for i in agents) == len(usual.agents) * len(self._copies)
                some = usual if all_of_them else self._asked(usual.link, agents, rows)
                asked.append(self._fill(some, number, step, rows))
        posted = await self._post(asked)
        self._decided += step.awaited.T
        self._in_step = self._in_step and bool(step.awaited.all())
        failed = []
        for some, answer in zip(asked, posted, strict=True):
            try:
                if answer is None:
                    raise Unavailable(some.link.addresses[0], "not connected")
                self._take(await answer, some, rows, outcomes)
            except Unavailable:
                failed.append(self._again(some, rows, outcomes, self._retries))
            except Refused as refused:
                if refused.reason == policy_pb2.REASON_DEADLINE and self._retries:
                    failed.append(self._again(some, rows, outcomes, self._retries - 1))
                else:
                    _fail(refused, some.agents, outcomes)
        if failed:
            await asyncio.gather(*failed)
        return outcomes

    async def _post(self, asked: Sequence[Asked]) -> Sequence[asyncio.Future[pb.Decisions] | None]:
        """Send all frames side by side: a write that is waited for takes as long as an answer."""
        if len(asked) == 1:
            return [await asked[0].link.post(asked[0].frame, self._timeout)]
        return await asyncio.gather(*(some.link.post(some.frame, self._timeout) for some in asked))

    def withdraw(self, index: int, rows: NDArray[np.intp]) -> None:
        """An agent's failed decision will be asked for again: it does not count as one."""
        self._decided[index, rows] -= 1

    def forget(self, rows: NDArray[np.intp]) -> None:
        """New episodes begin in some copies: memory of the old ones goes, while decisions are counted on."""
        for memory in self._memory:
            memory[rows] = 0

    async def _again(self, asked: Asked, rows: Rows, outcomes: list[Outcome], retries: int) -> None:
        """Ask until a replica answers in time, ``retries`` times more than once."""
        for left in range(retries, -1, -1):
            try:
                return self._take(await asked.link.ask(asked.frame, self._timeout), asked, rows, outcomes)
            except AgoraError as error:
                silent = isinstance(error, Unavailable) or (
                    isinstance(error, Refused) and error.reason == policy_pb2.REASON_DEADLINE
                )
                if not (silent and left):
                    return _fail(error, asked.agents, outcomes)

    def _asked(self, link: AgentLink, agents: Sequence[int], rows: Rows) -> Asked:
        ports = [self._ports[i] for i in agents]
        parts = [FramePart(port, self._copies, rows[port.index]) for port in ports]
        answers = AnswerReader(ports, [len(rows[i]) for i in agents])
        return Asked(link, agents, Frame(parts, self._block), answers)

    def _fill(self, asked: Asked, number: int, step: Step, rows: Rows) -> Asked:
        frame = asked.frame
        chunks = frame.begin(number)
        for i, part in zip(asked.agents, frame.parts, strict=True):
            memory = self._memory[i][rows[i]] if self._memory[i].size else None
            # Copies of event-driven games run at their own pace: their draws are keyed by their own decisions' count.
            steps = None if self._in_step else self._decided[i, rows[i]]
            frame.add(part.write(chunks, step, memory, steps))
        return asked

    def _take(self, reply: pb.Decisions, asked: Asked, rows: Rows, outcomes: list[Outcome]) -> None:
        for i, outcome in zip(asked.agents, asked.answers.read(reply), strict=True):
            outcomes[i] = outcome
            if isinstance(outcome, Answer) and outcome.memory.size:
                self._remember(i, rows[i], outcome.memory)

    def _remember(self, i: int, rows: NDArray[np.intp], memory: NDArray[np.uint8]) -> None:
        if self._memory[i].shape[1] != memory.shape[1]:
            self._memory[i] = np.zeros((len(self._copies), memory.shape[1]), np.uint8)
        self._memory[i][rows] = memory


def _fail(error: AgoraError, agents: Sequence[int], outcomes: list[Outcome]) -> None:
    for i in agents:
        outcomes[i] = error
