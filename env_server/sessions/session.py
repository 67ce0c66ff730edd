"""A session: an environment that one driver resets and steps, while agent services may play some of its agents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Gauge

from agora.errors import IllegalAction, Refused, incident
from agora.spaces import leaves, ordered
from agora.v1 import environment_pb2, policy_pb2, seat_pb2
from env_server.environments.base import (
    Environment,
    OutsourcedEnvironment,
    RestartingEnvironment,
    Step,
    Values,
    not_exiting,
)
from env_server.rollout.collect import Workshop, key_of
from env_server.rollout.decisions import middle
from env_server.rollout.runner import QUICK_SECONDS
from env_server.sessions.played import Played

OPEN = Gauge("agora_sessions_open", "Sessions that drivers hold now.")
MAX_SEED = 2**63
_ENDING: set[asyncio.Task[None]] = set()


class Session:
    """An environment of one driver's own; agent services may play some of its agents.

    The driver sees steps in which one of its agents is awaited, or in which all episodes have ended; steps between
    are taken for it. What played agents see stays here: their observations and masks come out empty. Their decisions
    are functions of the reset's seed.

    Attributes:
        environment: what is stepped.
        driven: numbers of the agents that the driver acts for.
    """

    def __init__(self, workshop: Workshop, spec: environment_pb2.EnvironmentSpec, environment: Environment) -> None:
        """See ``open``."""
        self.environment = environment
        self.driven: tuple[int, ...] = tuple(range(len(environment.agents)))
        self._workshop, self._spec = workshop, spec
        self._played: Played | None = None
        self._copies = np.arange(environment.num_envs, dtype=np.uint32)
        self._leaves = [leaves(environment.action_spaces[agent]) for agent in environment.agents]
        self._idle = [{leaf.path: middle(leaf, environment.num_envs) for leaf in members} for members in self._leaves]
        self._lock = asyncio.Lock()
        self._computing: asyncio.Future[Step] | None = None
        self._waits = isinstance(environment, OutsourcedEnvironment)
        self._quick = self._broken = False
        self._ending: asyncio.Task[None] | None = None
        self._now: Step | None = None

    @classmethod
    async def open(
        cls,
        workshop: Workshop,
        spec: environment_pb2.EnvironmentSpec,
        played: Sequence[seat_pb2.Seat] = (),
        timeout: float = 5.0,
    ) -> Session:
        """Build an environment and greet the services that play in it.

        Args:
            workshop: of the server.
            spec: which environment.
            played: agents that services play, and their addresses; at least one agent is left to the driver.
            timeout: seconds a service may take for an answer.

        Raises:
            Refused: the server is full (CAPACITY), the spec or a seat is wrong, or a service refused or cannot be
                reached (UNREACHABLE).
        """
        if workshop.sessions >= workshop.max_sessions:
            expected, got = f"at most {workshop.max_sessions} sessions", f"{workshop.sessions} open"
            raise Refused(policy_pb2.REASON_CAPACITY, "session", expected, got, retryable=True)
        workshop.sessions += 1
        OPEN.inc()
        try:
            session = cls(workshop, spec, await workshop.take_environment(spec))
        except BaseException:
            _leave(workshop)
            raise
        try:
            if played:
                await session._seat(Played(workshop, session.environment, spec.name, played, timeout))
        except BaseException:
            await session.close()
            raise
        return session

    async def _seat(self, played: Played) -> None:
        self._played = played
        self.driven = tuple(i for i in self.driven if i not in played.numbers)
        await played.greet()

    async def reset(self, seed: int, rows: NDArray[np.intp] | None = None) -> Step:
        """Start new episodes, in all copies or, in games that can, in those at ``rows`` (rising) alone.

        Raises:
            Refused: a wrong seed or row, UNSUPPORTED, or a service failed, as for ``step``.
        """
        if not 0 <= seed < MAX_SEED:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "reset.seed", "0 or more, below 2**63", str(seed))
        async with self._lock:
            if rows is None or len(rows) == len(self._copies):
                return await self._play_on(await self._begin(seed))
            return await self._play_on(await self._begin_some(seed, rows))

    async def _begin(self, seed: int) -> Step:
        step = await self._compute("reset", lambda: self.environment.reset(seed, self._copies))
        if self._played is not None:
            self._played.begin(seed)
        self._alive = np.ones_like(step.awaited) if step.alive is None else step.alive.copy()
        self._rewards = np.zeros_like(step.rewards)
        self._terminated, self._truncated = np.zeros_like(step.awaited), np.zeros_like(step.awaited)
        return self._enter(step)

    async def _begin_some(self, seed: int, rows: NDArray[np.intp]) -> Step:
        environment = self.environment
        if not isinstance(environment, RestartingEnvironment):
            expected = "none: in this game all copies start together"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "reset.copies", expected, str(rows.tolist()))
        if not ((np.diff(rows) > 0).all() and rows[0] >= 0 and rows[-1] < len(self._copies)):
            expected = f"rising numbers below {len(self._copies)}"
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "reset.copies", expected, str(rows.tolist()))
        if self._now is None:
            raise Refused(policy_pb2.REASON_NOT_READY, "reset.copies", "a reset of all copies first", "some")
        step = await self._compute("reset", lambda: environment.restart(seed, self._copies, rows))
        if self._played is not None:
            self._played.begin_some(rows)
        self._alive[rows] = True if step.alive is None else step.alive[rows]
        self._rewards[rows], self._terminated[rows], self._truncated[rows] = 0.0, False, False
        return self._enter(step)

    async def step(self, actions: Sequence[Values]) -> Step:
        """Act, and play on to the next step in which one of the driver's agents is awaited.

        Args:
            actions: per agent, the leaves of its action, (B, ...); rows that were not awaited are ignored; empty for
                played agents, and for others that no copy awaits.

        Returns:
            Rewards are summed, terminated and truncated joined over the steps taken; ``awaited`` holds driven agents
            only; ``alive`` is set.

        Raises:
            Refused: an action is wrong, the episodes are over, or a service failed (DEADLINE, UNREACHABLE: retryable).
                Then the same step may be sent again, and the game goes on as if nothing had happened. After a fault of
                the environment itself (INTERNAL; the log has its traceback) only ``reset`` and ``close`` are left.
        """
        async with self._lock:
            now = self._now
            if now is None or not now.awaited.any():
                got = "a step before it" if now is None else "a step after all episodes have ended"
                raise Refused(policy_pb2.REASON_NOT_READY, "step", "a reset", got)
            return await self._play_on(await self._advance(now, self._checked(actions, now)))

    async def _play_on(self, now: Step) -> Step:
        """Take the steps that need nobody of the driver's."""
        while now.awaited.any() and not now.awaited[:, self.driven].any():
            now = await self._advance(now, list(self._idle))
        return self._show(now)

    async def _advance(self, now: Step, actions: list[Values]) -> Step:
        if self._played is not None:
            for i, action in (await self._played.act(now, self._idle)).items():
                actions[i] = action
        step = await self._compute("step", lambda: self.environment.step(actions))
        if self._played is not None:
            self._played.stepped()
        return self._enter(step)

    def _checked(self, actions: Sequence[Values], now: Step) -> list[Values]:
        agents = self.environment.agents
        if len(actions) != len(agents):
            raise Refused(policy_pb2.REASON_SHAPE, "step.agents", f"{len(agents)} agents", str(len(actions)))
        return [self._action(i, said, np.flatnonzero(now.awaited[:, i])) for i, said in enumerate(actions)]

    def _action(self, i: int, said: Values, rows: NDArray[np.intp]) -> Values:
        driven, copies = i in self.driven, len(self._copies)
        if not said and not (driven and len(rows)):
            return self._idle[i]
        field = f"agents[{i}].action"
        if not driven:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, field, "nothing: a service plays it", f"{len(said)} leaves")
        if len(said) != len(self._leaves[i]):
            raise Refused(policy_pb2.REASON_SHAPE, field, f"{len(self._leaves[i])} leaves", str(len(said)))
        for number, (leaf, values) in enumerate(zip(self._leaves[i], ordered(said, self._leaves[i]), strict=True)):
            some = len(rows) < copies == len(values) if values.ndim else False
            leaf.check(values[rows] if some else values, len(rows) if some else copies, f"{field}[{number}]")
        return said

    async def _compute(self, what: str, work: Callable[[], Step]) -> Step:
        """Let the environment compute; off the event loop unless it was quick the last time.

        What it finds illegal has changed nothing. Any other failure is its own, and told as such; after one, and after
        a step that nobody waits for any more, it is not given to others.
        """
        if self._ending is not None:
            raise Refused(policy_pb2.REASON_NOT_READY, "session", "an open session", "one that was closed")
        started = time.perf_counter()
        try:
            with not_exiting():
                step = work() if self._quick else await self._elsewhere(work)
        except IllegalAction:
            raise
        except BaseException as error:
            self._broken, self._now = True, None
            if isinstance(error, Refused) or not isinstance(error, Exception):
                raise
            raise incident(error, what) from error
        self._quick = not self._waits and time.perf_counter() - started < QUICK_SECONDS
        return step

    async def _elsewhere(self, work: Callable[[], Step]) -> Step:
        loop = asyncio.get_running_loop()
        self._computing = loop.run_in_executor(self._workshop.workers, work)
        # A thread goes on when its waiter is cancelled: close() must be able to wait for it.
        return await asyncio.shield(self._computing)

    def _enter(self, step: Step) -> Step:
        self._now = step
        self._rewards += step.rewards
        self._terminated |= step.terminated
        self._truncated |= step.truncated
        going = self._alive & ~(step.terminated | step.truncated)
        self._alive = going if step.alive is None else step.alive.copy()
        # No driver waits for an end that the game does not tell: whoever left has ended by the rules, and whoever is
        # still there when nobody is awaited any more was cut off.
        self._terminated |= going & ~self._alive
        if not step.awaited.any():
            self._truncated |= self._alive
            self._alive = np.zeros_like(self._alive)
        return step

    def _show(self, now: Step) -> Step:
        """What the driver may see of the step that is now, with all that happened since it last saw one."""
        awaited = np.zeros_like(now.awaited)
        awaited[:, self.driven] = now.awaited[:, self.driven]
        shown = replace(
            now,
            observations=[seen if i in self.driven else {} for i, seen in enumerate(now.observations)],
            action_masks={i: masks for i, masks in now.action_masks.items() if i in self.driven},
            rewards=self._rewards,
            terminated=self._terminated,
            truncated=self._truncated,
            awaited=awaited,
            alive=self._alive.copy(),
        )
        self._rewards = np.zeros_like(now.rewards)
        self._terminated, self._truncated = np.zeros_like(awaited), np.zeros_like(awaited)
        return shown

    async def close(self) -> None:
        """Give the environment back, or end it if it failed; steps under way end first."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
            _ENDING.add(self._ending)
            self._ending.add_done_callback(_ENDING.discard)
        # A caller may be cancelled more than once, and what was taken must go back all the same.
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        try:
            async with self._lock:
                await self._give_back()
        finally:
            _leave(self._workshop)

    async def _give_back(self) -> None:
        if self._computing is not None:
            await asyncio.wait({self._computing})
        if self._played is not None:
            await self._played.give_back()
        if self._broken:
            await self._workshop.environments.drop(self.environment)
        else:
            await self._workshop.environments.give(key_of(self._spec), self.environment)


def _leave(workshop: Workshop) -> None:
    workshop.sessions -= 1
    OPEN.dec()
