"""Agents' minds behind the wire: one frame per agent service and step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agora.errors import AgoraError, Refused, Unavailable
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.environments.base import Step
from env_server.rollout.decisions import AgentPort, Answer
from env_server.rollout.frame import Frame, FramePart
from env_server.rollout.link import AgentLink

Rows = Sequence[NDArray[np.intp]]
Outcome = Answer | AgoraError | None


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
        self._frames = [self._frame(link.agents, everyone) for link in links]

    async def decide(self, number: int, step: Step, rows: Rows) -> Sequence[Outcome]:
        """Ask every service at once; see ``Minds.decide``."""
        outcomes: list[Outcome] = [None] * len(self._ports)
        asked = []
        for link, usual in zip(self._links, self._frames, strict=True):
            agents = [i for i in link.agents if len(rows[i])]
            if agents:
                all_of_them = sum(len(rows[i]) for i in agents) == len(link.agents) * len(self._copies)
                frame = self._fill(usual if all_of_them else self._frame(agents, rows), agents, number, step, rows)
                asked.append((link, agents, frame))
        posted = await self._post([(link, frame) for link, _, frame in asked])
        self._decided += step.awaited.T
        self._in_step = self._in_step and bool(step.awaited.all())
        failed = []
        for (link, agents, frame), answer in zip(asked, posted, strict=True):
            try:
                if answer is None:
                    raise Unavailable(link.addresses[0], "not connected")
                self._take(await answer, agents, rows, outcomes)
            except Unavailable:
                failed.append(self._again(link, agents, frame, rows, outcomes, self._retries))
            except Refused as refused:
                if refused.reason == policy_pb2.REASON_DEADLINE and self._retries:
                    failed.append(self._again(link, agents, frame, rows, outcomes, self._retries - 1))
                else:
                    _fail(refused, agents, outcomes)
        if failed:
            await asyncio.gather(*failed)
        return outcomes

    async def _post(self, frames: Sequence[tuple[AgentLink, Frame]]) -> Sequence[asyncio.Future[pb.Decisions] | None]:
        """Send all frames side by side: a write that is waited for takes as long as an answer."""
        if len(frames) == 1:
            link, frame = frames[0]
            return [await link.post(frame, self._timeout)]
        return await asyncio.gather(*(link.post(frame, self._timeout) for link, frame in frames))

    def withdraw(self, index: int, rows: NDArray[np.intp]) -> None:
        """An agent's failed decision will be asked for again: it does not count as one."""
        self._decided[index, rows] -= 1

    def forget(self, rows: NDArray[np.intp]) -> None:
        """New episodes begin in some copies: memory of the old ones goes, while decisions are counted on."""
        for memory in self._memory:
            memory[rows] = 0

    async def _again(
        self,
        link: AgentLink,
        agents: Sequence[int],
        frame: Frame,
        rows: Rows,
        outcomes: list[Outcome],
        retries: int,
    ) -> None:
        """Ask until a replica answers in time, ``retries`` times more than once."""
        for left in range(retries, -1, -1):
            try:
                return self._take(await link.ask(frame, self._timeout), agents, rows, outcomes)
            except AgoraError as error:
                silent = isinstance(error, Unavailable) or (
                    isinstance(error, Refused) and error.reason == policy_pb2.REASON_DEADLINE
                )
                if not (silent and left):
                    return _fail(error, agents, outcomes)

    def _frame(self, agents: Sequence[int], rows: Rows) -> Frame:
        return Frame([FramePart(self._ports[i], self._copies, rows[i]) for i in agents], self._block)

    def _fill(self, frame: Frame, agents: Sequence[int], number: int, step: Step, rows: Rows) -> Frame:
        chunks = frame.begin(number)
        for i, part in zip(agents, frame.parts, strict=True):
            memory = self._memory[i][rows[i]] if self._memory[i].size else None
            # Copies of event-driven games run at their own pace: their draws are keyed by their own decisions' count.
            steps = None if self._in_step else self._decided[i, rows[i]]
            frame.add(part.write(chunks, step, memory, steps))
        return frame

    def _take(self, reply: pb.Decisions, agents: Sequence[int], rows: Rows, outcomes: list[Outcome]) -> None:
        if len(reply.agents) != len(agents):
            got = f"{len(reply.agents)} answers"
            raise Refused(policy_pb2.REASON_SHAPE, "agents", f"{len(agents)} answers", got)
        for i, message in zip(agents, reply.agents, strict=True):
            try:
                outcomes[i] = answer = self._ports[i].answer(message, len(rows[i]))
                if answer.memory.size:
                    self._remember(i, rows[i], answer.memory)
            except Refused as refused:
                outcomes[i] = refused

    def _remember(self, i: int, rows: NDArray[np.intp], memory: NDArray[np.uint8]) -> None:
        if self._memory[i].shape[1] != memory.shape[1]:
            self._memory[i] = np.zeros((len(self._copies), memory.shape[1]), np.uint8)
        self._memory[i][rows] = memory


def _fail(error: AgoraError, agents: Sequence[int], outcomes: list[Outcome]) -> None:
    for i in agents:
        outcomes[i] = error
