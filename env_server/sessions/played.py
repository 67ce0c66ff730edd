"""The agents of a session that agent services play."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from agora.errors import AgoraError, Refused, Unavailable
from agora.v1 import policy_pb2, seat_pb2
from env_server.environments.base import Array, Environment, Step, Values
from env_server.rollout.collect import Workshop
from env_server.rollout.decisions import Answer, agent_specs, ports_for
from env_server.rollout.link import AgentLink
from env_server.rollout.minds import RemoteMinds
from env_server.rollout.runner import named


class Played:
    """Asks for their decisions, as functions of the reset's seed.

    Attributes:
        numbers: of these agents.
    """

    def __init__(
        self, workshop: Workshop, environment: Environment, game: str, seats: Sequence[seat_pb2.Seat], timeout: float
    ) -> None:
        """Take what it needs; ``greet`` comes next.

        Args:
            workshop: where links come from.
            environment: whose agents these are.
            game: its name.
            seats: the agents, and their addresses.
            timeout: seconds a service may take for an answer.

        Raises:
            Refused: a seat is wrong, or none is left to a driver.
        """
        agents = environment.agents
        _check(agents, [seat.agent for seat in seats])
        addresses = {seat.agent: tuple(seat.addresses) for seat in seats}
        self.numbers = tuple(i for i, agent in enumerate(agents) if agent in addresses)
        self._workshop, self._agents, self._timeout = workshop, agents, timeout
        self._copies = np.arange(environment.num_envs, dtype=np.uint32)
        policies = {agent: policy_pb2.PolicyReference() for agent in agents}
        policies.update({seat.agent: seat.policy for seat in seats})
        self._ports = ports_for(environment, policies, None, self._copies)
        ids = {seat.agent: policy_pb2.PolicyReference(policy_id=seat.policy.policy_id) for seat in seats}
        specs = [spec for spec in agent_specs(environment, ids) if spec.id in addresses]
        self._links: dict[bytes, AgentLink] = workshop.take_links(specs, addresses, game, 0)
        self._answers: dict[int, Values] = {}
        self._number = 0
        self._others = np.ones(len(agents), np.bool_)
        self._others[list(self.numbers)] = False

    async def greet(self) -> None:
        """Say hello to every service.

        Raises:
            Refused: one refused, or cannot be reached (UNREACHABLE).
        """
        greetings = [link.open(self._timeout) for link in self._links.values()]
        for error in await asyncio.gather(*greetings, return_exceptions=True):
            if isinstance(error, Unavailable):
                expected = "an agent service that answers"
                raise Refused(policy_pb2.REASON_UNREACHABLE, error.address, expected, error.why, retryable=True)
            if error is not None:
                raise error

    def begin(self, seed: int) -> None:
        """New episodes begin in all copies."""
        links = list(self._links.values())
        self._minds = RemoteMinds(links, self._ports, self._copies, seed, self._timeout)
        self._answers, self._number = {}, 0

    def begin_some(self, rows: Array) -> None:
        """New episodes begin in some copies."""
        self._minds.forget(rows)
        self._answers = {}

    def stepped(self) -> None:
        """The environment has taken a step."""
        self._answers = {}
        self._number += 1

    async def act(self, now: Step, idle: Sequence[Values]) -> Mapping[int, Values]:
        """What these agents do now, over all copies; asked again, it asks only those that have not answered.

        Args:
            now: what the environment shows.
            idle: per agent, an action for copies that do not await it.

        Raises:
            Refused: a service refused, or did not answer in time (retryable).
        """
        wanted = now.awaited & ~self._others
        wanted[:, list(self._answers)] = False
        rows = [np.flatnonzero(column) for column in wanted.T]
        failed: list[Refused] = []
        for i, outcome in enumerate(await self._minds.decide(self._number, replace(now, awaited=wanted), rows)):
            if isinstance(outcome, Answer):
                self._answers[i] = _spread(outcome, rows[i], idle[i], len(self._copies))
            elif isinstance(outcome, AgoraError):
                self._minds.withdraw(i, rows[i])
                failed.append(named(outcome, self._agents[i]))
        if failed:
            raise failed[0]
        return self._answers

    async def give_back(self) -> None:
        """Let others have the links."""
        await self._workshop.give_links(self._links)


def _spread(answer: Answer, rows: Array, idle: Values, copies: int) -> Values:
    """An action over all copies."""
    if len(rows) == copies:
        return answer.action
    action = {path: values.copy() for path, values in idle.items()}
    for path, values in answer.action.items():
        action[path][rows] = values
    return action


def _check(agents: Sequence[str], seats: Sequence[str]) -> None:
    for agent in seats:
        if agent not in agents:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "played", f"agents {list(agents)}", repr(agent))
    if len(set(seats)) != len(seats):
        raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "played", "every agent once", str(list(seats)))
    if len(seats) == len(agents):
        raise Refused(policy_pb2.REASON_CONFIG, "played", "an agent that the driver acts for", "services for all")
