"""Agents' minds behind the wire: one frame per agent service and step."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agora.errors import AgoraError, Refused
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.environments.base import Step
from env_server.rollout.decisions import AgentPort, Answer
from env_server.rollout.link import AgentLink


class RemoteMinds:
    """Asks agent services for decisions and carries their policies' memory. One block at a time."""

    def __init__(self, links: Sequence[AgentLink], ports: Sequence[AgentPort], num_envs: int, timeout: float) -> None:
        self._links = links
        self._ports = ports
        self._timeout = timeout
        self._memory = [np.zeros((num_envs, 0), np.uint8) for _ in ports]
        self._decided = np.zeros((len(ports), num_envs), np.uint32)

    async def decide(
        self, block: int, number: int, copies: NDArray[np.uint32], step: Step, rows: Sequence[NDArray[np.intp]]
    ) -> Sequence[Answer | AgoraError | None]:
        """Ask every service at once; see ``Minds.decide``."""
        answers: list[Answer | AgoraError | None] = [None] * len(self._ports)
        asked = (link for link in self._links if any(len(rows[i]) for i in link.agents))
        await asyncio.gather(*(self._ask(link, block, number, copies, step, rows, answers) for link in asked))
        return answers

    async def _ask(
        self,
        link: AgentLink,
        block: int,
        number: int,
        copies: NDArray[np.uint32],
        step: Step,
        rows: Sequence[NDArray[np.intp]],
        answers: list[Answer | AgoraError | None],
    ) -> None:
        asked = [i for i in link.agents if len(rows[i])]
        parts = [self._part(i, number, copies, step, rows[i]) for i in asked]
        try:
            reply = await link.ask(pb.DecisionsRequest(block=block, step=number, agents=parts), self._timeout)
            if len(reply.agents) != len(asked):
                got = f"{len(reply.agents)} answers"
                raise Refused(policy_pb2.REASON_SHAPE, "agents", f"{len(asked)} answers", got)
        except AgoraError as error:
            for i in asked:
                answers[i] = error
            return
        for i, message in zip(asked, reply.agents, strict=True):
            try:
                answers[i] = answer = self._ports[i].answer(message, len(rows[i]))
                if answer.memory.size:
                    self._remember(i, copies[rows[i]], answer.memory)
            except AgoraError as error:
                answers[i] = error

    def _part(
        self, i: int, number: int, copies: NDArray[np.uint32], step: Step, rows: NDArray[np.intp]
    ) -> pb.Observations:
        part = self._ports[i].request(step, copies, rows, self._memory[i][copies])
        steps = self._decided[i, copies[rows]]
        # Copies of event-driven games run at their own pace: their draws are keyed by their own count of decisions.
        if (steps != number).any():
            part.steps = steps.tobytes()
        self._decided[i, copies[rows]] += 1
        return part

    def _remember(self, i: int, copies: NDArray[np.uint32], memory: NDArray[np.uint8]) -> None:
        if self._memory[i].shape[1] != memory.shape[1]:
            self._memory[i] = np.zeros((len(self._memory[i]), memory.shape[1]), np.uint8)
        self._memory[i][copies] = memory
