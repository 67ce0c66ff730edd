"""A collection: blocks played one after the other by agent services, logged, and handed on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agora.errors import AgoraError, Refused, Unavailable, incident
from agora.lobby import Lobby
from agora.v1 import agent_pb2, environment_pb2, policy_pb2, rollout_pb2 as pb
from agora.version import PROTOCOL_VERSION
from env_server.environments import make
from env_server.environments.base import DefaultingEnvironment, Environment, not_exiting
from env_server.log import TrajectoryLog, logged
from env_server.pool import Pool
from env_server.rollout.decisions import agent_specs, ports_for
from env_server.rollout.link import AgentLink, hellos
from env_server.rollout.minds import RemoteMinds
from env_server.rollout.runner import Block, play_block
from env_server.rollout.trajectory import Trajectory

CAPABILITIES = (
    agent_pb2.CAPABILITY_ACTION_MASK,
    agent_pb2.CAPABILITY_MEMORY,
    agent_pb2.CAPABILITY_EXPLORATION,
    agent_pb2.CAPABILITY_EXACT_VERSION,
)
MAX_RETRIES = 100


@dataclass
class Workshop:
    """What the collections and sessions of one server share: threads, and pools of things that are slow to make.

    Attributes:
        lobby: where agents wait that dialled in.
        sessions: how many are open now; at most ``max_sessions``.
    """

    software: str
    log_directory: Path | None
    workers: ThreadPoolExecutor
    environments: Pool[Environment]
    links: Pool[AgentLink]
    lobby: Lobby = field(default_factory=lambda: Lobby({}))
    max_sessions: int = 64
    sessions: int = 0

    async def take_environment(self, spec: environment_pb2.EnvironmentSpec) -> Environment:
        """An idle environment, or a new one, built off the event loop; ``environments.give`` it back under ``key_of``.

        Raises:
            Refused: unknown game, malformed configuration, or a number of copies out of range; or the game cannot be
                built for a fault of its own (INTERNAL).
        """
        idle = self.environments.find(key_of(spec))
        if idle is not None:
            return idle
        try:
            return await asyncio.to_thread(make, spec)
        except AgoraError:
            raise
        except Exception as error:
            raise incident(error, "environment") from error

    def take_links(
        self, specs: Sequence[agent_pb2.AgentSpec], seats: Mapping[str, Sequence[str]], game: str, seed: int
    ) -> dict[bytes, AgentLink]:
        """Links to the agent services that answer for ``specs``, by the keys under which they go back.

        Args:
            specs: the agents that are asked for.
            seats: agent id to addresses.
            game: the environment's name.
            seed: of the hello.

        Raises:
            Refused: see ``hellos``.
        """
        hello = agent_pb2.AgentHello(
            protocol_versions=[PROTOCOL_VERSION],
            software=self.software,
            capabilities=CAPABILITIES,
            environment=game,
            seed=seed,
        )
        links = {}
        for addresses, said in hellos(specs, seats, hello).items():
            key = repr(addresses).encode() + said.SerializeToString(deterministic=True)
            links[key] = self.links.find(key) or AgentLink(addresses, said, self.lobby)
        return links

    async def give_links(self, links: Mapping[bytes, AgentLink]) -> None:
        """Hand links back for others."""
        for key, link in links.items():
            await link.dismiss_guests()
            await self.links.give(key, link)


class Collection:
    """One ``Rollout.Collect``: ``play`` is iterated once, then ``summary`` is complete."""

    def __init__(self, request: pb.CollectRequest, workshop: Workshop, environment: Environment) -> None:
        """See ``prepare``."""
        self.summary = pb.CollectSummary()
        self.environment = environment
        self._request = request
        self._workshop = workshop
        self._timeout = request.deadline_us / 1e6
        self._aborts = request.fallback not in (pb.FALLBACK_REPEAT_LAST, pb.FALLBACK_ENVIRONMENT_DEFAULT)
        self._defaults = request.fallback == pb.FALLBACK_ENVIRONMENT_DEFAULT
        self._check_fallback()
        self._policies = {seat.agent: seat.policy for seat in request.seats}
        self._broken = False
        self._links = self._take_links()
        self._log = self._open_log()

    @classmethod
    async def prepare(cls, request: pb.CollectRequest, workshop: Workshop) -> Collection:
        """Check the request and build what it needs; an environment is built off the event loop.

        Raises:
            Refused: a field of the request is wrong.
        """
        _check(request)
        environment = await workshop.take_environment(request.environment)
        return cls(request, workshop, environment)

    def _check_fallback(self) -> None:
        if self._defaults and not isinstance(self.environment, DefaultingEnvironment):
            expected = "ABORT or REPEAT_LAST: this game has no default action"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "fallback", expected, "FALLBACK_ENVIRONMENT_DEFAULT")

    def _take_links(self) -> dict[bytes, AgentLink]:
        request = self._request
        ids = {agent: policy_pb2.PolicyReference(policy_id=p.policy_id) for agent, p in self._policies.items()}
        seats = {seat.agent: tuple(seat.addresses) for seat in request.seats}
        specs = agent_specs(self.environment, ids)
        return self._workshop.take_links(specs, seats, request.environment.name, request.seed)

    def _open_log(self) -> TrajectoryLog | None:
        if not self._request.log:
            return None
        if self._workshop.log_directory is None:
            expected = "a server started with --log-directory"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "log", expected, "one without")
        noise = self._request.exploration.noise_scale
        return TrajectoryLog(self._workshop.log_directory, self._request.run, self.environment.agents, noise)

    async def play(self) -> AsyncGenerator[Trajectory]:
        """Play block after block; one that is logged is handed on when it is on disk.

        Raises:
            Refused: an agent service refused, or failed for longer than the deadline, and the fallback is to abort; or
                the log could not be written.
        """
        start = time.perf_counter()
        links = list(self._links.values())
        before = [(link.stale, link.reconnects) for link in links]
        played = self._blocks(links)
        try:
            async with aclosing(played if self._log is None else logged(played, self._log)) as blocks:
                async for trajectory in blocks:
                    self.summary.blocks += 1
                    self.summary.environment_steps += trajectory.steps * len(trajectory.copies)
                    yield trajectory
        except AgoraError:
            raise
        except BaseException:  # it failed in the midst of a step, or is still busy with one that nobody waits for
            self._broken = True
            raise
        finally:
            await played.aclose()
            if self._log is not None:
                await asyncio.to_thread(self._log.close)
            self.summary.stale_answers = sum(k.stale - b[0] for k, b in zip(links, before, strict=True))
            self.summary.reconnects = sum(k.reconnects - b[1] for k, b in zip(links, before, strict=True))
            self.summary.duration_us = int((time.perf_counter() - start) * 1e6)
            await self._give_back()

    async def _blocks(self, links: Sequence[AgentLink]) -> AsyncGenerator[Trajectory]:
        request = self._request
        await asyncio.gather(*(self._greet(link) for link in links))
        for number in range(request.first_block, request.first_block + request.num_blocks):
            yield await self._play_one(number, links)

    async def _greet(self, link: AgentLink) -> None:
        try:
            await link.open(self._timeout)
        except Unavailable:
            if self._aborts:
                raise

    async def _give_back(self) -> None:
        await self._workshop.give_links(self._links)
        if self._broken:
            await self._workshop.environments.drop(self.environment)
        else:
            await self._workshop.environments.give(key_of(self._request.environment), self.environment)

    async def _play_one(self, number: int, links: Sequence[AgentLink]) -> Trajectory:
        request = self._request
        exploration = request.exploration if request.HasField("exploration") else None
        copies = np.arange(request.environment.num_envs, dtype=np.uint32)
        ports = ports_for(self.environment, self._policies, exploration, copies)
        minds = RemoteMinds(links, ports, copies, number, self._timeout, request.retries)
        unseen = request.outcomes_only and self._log is None
        block = Block(request.seed, number, abort=self._aborts, defaults=self._defaults, outcomes_only=unseen)
        with not_exiting():
            trajectory = await play_block(self.environment, copies, minds, block, self._workshop.workers)
        self.summary.substituted_actions += block.substituted
        return trajectory


def _check(request: pb.CollectRequest) -> None:
    if request.num_blocks < 1:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "num_blocks", ">= 1", str(request.num_blocks))
    if request.deadline_us < 1:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "deadline_us", ">= 1", str(request.deadline_us))
    if request.retries > MAX_RETRIES:
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "retries", f"at most {MAX_RETRIES}", str(request.retries))
    for name, most in (("noise_scale", np.inf), ("temperature", np.inf), ("epsilon", 1.0)):
        value = getattr(request.exploration, name)
        if not np.isfinite(value) or not 0 <= value <= most:
            expected = "finite and >= 0" if most == np.inf else f"0 to {most:g}"
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, f"exploration.{name}", expected, str(value))
    agents = [seat.agent for seat in request.seats]
    if len(set(agents)) != len(agents):
        raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "seats", "every agent once", str(agents))


def key_of(game: environment_pb2.EnvironmentSpec) -> Hashable:
    """What environments have in common that stand for one another."""
    return game.name, game.config_json, game.num_envs
