"""A session's steps by themselves: one at a time, and with all that happened since its driver last saw one."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused
from env_server.environments.base import EnvironmentConfig, Step
from env_server.sessions.session import Session

ENDS = 6
PAYS = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0], [4.0, 40.0], [8.0, 80.0], [16.0, 160.0], [32.0, 320.0]])
"""By step, what each agent is paid in it."""


class Turns:
    """Two copies; the first agent is awaited before every third step, the other before the rest."""

    Config = EnvironmentConfig
    agents = ("first", "other")
    facts = {}  # noqa: RUF012
    observation_spaces = dict.fromkeys(agents, spaces.Box(0, 9, (), np.int32))
    action_spaces = dict.fromkeys(agents, spaces.Discrete(3))
    state_space = spaces.Box(0, 9, (), np.int32)

    pids = ()
    """With ``close``: others compute it, so that it is never stepped on the event loop."""

    def close(self):
        pass

    def __init__(self, gate=None):
        self.config, self.num_envs, self.gate = EnvironmentConfig(), 2, gate
        self.running = self.most = self.number = 0
        self.entered = threading.Event()

    def reset(self, seed, copies):
        self.number = 0
        return self._show()

    def step(self, actions):
        self.running += 1
        self.most = max(self.most, self.running)
        self.entered.set()
        if self.gate is not None:
            assert self.gate.wait(60)
        self.number += 1
        self.running -= 1
        return self._show()

    def _show(self):
        over = np.full((2, 2), self.number == ENDS)
        awaited = ~over
        awaited[:, 1 if self.number % 3 == 0 else 0] = False
        truncated = over.copy()
        truncated[:, 0] = False
        seen = {"": np.full(2, self.number, np.int32)}
        return Step([seen, seen], seen, np.stack([PAYS[self.number]] * 2), over & ~truncated, truncated, awaited)


def session_of(game, driven=(0, 1)):
    session = Session(SimpleNamespace(workers=ThreadPoolExecutor(4)), None, game)
    session.driven = driven
    return session


def saying(agent):
    return [{"": np.zeros(2, np.int64)} if i == agent else {} for i in range(2)]


def test_steps_between_are_summed_and_shown_once():
    async def play():
        session = session_of(Turns(), driven=(0,))
        first = await session.reset(1)
        return first, [await session.step(saying(0)) for _ in range(2)]

    first, steps = asyncio.run(play())
    assert first.rewards.tolist() == [[0.0, 0.0]] * 2 and first.awaited.tolist() == [[True, False]] * 2
    assert [step.observations[0][""].tolist() for step in steps] == [[3, 3], [6, 6]]
    # Steps 1 to 3, then 4 to 6.
    assert [step.rewards.tolist() for step in steps] == [[[7.0, 70.0]] * 2, [[56.0, 560.0]] * 2]
    assert [step.terminated[:, 0].all() for step in steps] == [False, True]
    assert [step.truncated[:, 1].all() for step in steps] == [False, True]
    assert all(step.observations[1] == {} for step in (first, *steps))


def test_two_steps_at_once_are_taken_one_after_the_other():
    gate = threading.Event()
    game = Turns(gate)

    async def play():
        session = session_of(game)
        await session.reset(1)
        both = [asyncio.create_task(session.step(saying(agent))) for agent in (0, 1)]
        await asyncio.to_thread(game.entered.wait, 60)
        for _ in range(100):  # as often as the second could slip in
            await asyncio.sleep(0)
        gate.set()
        return await asyncio.gather(*both)

    one, two = asyncio.run(play())
    assert game.most == 1
    assert [one.observations[0][""].tolist(), two.observations[0][""].tolist()] == [[1, 1], [2, 2]]
    assert [one.rewards.tolist(), two.rewards.tolist()] == [[[1.0, 10.0]] * 2, [[2.0, 20.0]] * 2]


def test_a_reset_waits_for_the_step_under_way():
    gate = threading.Event()
    game = Turns(gate)

    async def play():
        session = session_of(game)
        await session.reset(1)
        step = asyncio.create_task(session.step(saying(0)))
        await asyncio.to_thread(game.entered.wait, 60)
        again = asyncio.create_task(session.reset(2))
        for _ in range(100):
            await asyncio.sleep(0)
        assert game.number == 0 and not again.done()
        gate.set()
        return await step, await again

    step, again = asyncio.run(play())
    assert step.rewards.tolist() == [[1.0, 10.0]] * 2 and again.rewards.tolist() == [[0.0, 0.0]] * 2
    assert again.alive.all() and not (again.terminated | again.truncated).any()


def test_nobody_steps_before_a_reset_or_after_the_end():
    async def play():
        session = session_of(Turns())
        with pytest.raises(Refused, match="a step before it"):
            await session.step(saying(0))
        now = await session.reset(1)
        while now.awaited.any():
            now = await session.step(saying(int(now.awaited[0].argmax())))
        with pytest.raises(Refused, match="after all episodes have ended"):
            await session.step(saying(0))
        return now

    assert not asyncio.run(play()).alive.any()
