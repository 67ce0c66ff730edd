"""The rollout loop: who is asked when, what is recorded, and what happens when somebody fails."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused, Unavailable
from agora.randomness import generator
from env_server.environments.base import EnvironmentConfig, Step
from env_server.rollout.decisions import Answer
from env_server.rollout.runner import Block, play_block


class Relay:
    """Event-driven: copy c awaits agent 0 in its even moments and both in odd ones, and ends after 3 + c % 3 moments.

    The reward of an awaited agent is its action; the state is the copy's draw plus the sum of all actions so far.
    """

    Config = EnvironmentConfig
    agents = ("first", "second")
    observation_spaces = dict.fromkeys(agents, spaces.Box(-100, 100, (2,), np.float64))
    action_spaces = dict.fromkeys(agents, spaces.Box(-1, 1, (1,), np.float64))
    state_space = spaces.Box(-1000, 1000, (), np.float64)
    facts = MappingProxyType({})

    def __init__(self, config, num_envs):
        self.config, self.num_envs = config, num_envs

    def reset(self, seed, copies):
        self.length = 3 + copies.astype(int) % 3
        self.total = generator(seed).random(int(copies.max()) + 1)[copies]
        self.moment, self.copies = 0, copies
        return self._show(np.zeros((self.num_envs, 2)))

    def step(self, actions):
        acted = np.stack([a[""][:, 0] for a in actions], axis=1) * self.awaited
        self.total = self.total + acted.sum(axis=1)
        self.moment += 1
        return self._show(acted)

    def _show(self, rewards):
        going = self.moment < self.length
        self.awaited = np.stack([going, going & (self.moment % 2 == 1)], axis=1)
        seen = np.stack([self.total, self.copies.astype(float)], axis=1)
        ended = np.repeat(~going[:, None], 2, axis=1)
        return Step([{"": seen}, {"": -seen}], {"": self.total}, rewards, ended, np.zeros_like(ended), self.awaited)


class Echo:
    """Answers a known function of (agent, block, step, copy); fails for agent ``broken`` at its second decision."""

    def __init__(self, block, copies, asked, broken=None, error=None):
        self.block, self.copies, self.asked, self.broken, self.error = block, copies, asked, broken, error

    async def decide(self, number, step, rows):
        answers, block, copies = [], self.block, self.copies
        for i, mine in enumerate(rows):
            self.asked.append((number, i, tuple(copies[mine].tolist())))
            if i == self.broken and number > 1:
                answers.append(self.error)
            elif len(mine):
                value = np.sin(1.0 + i + 10 * block + 3 * number + copies[mine])[:, None]
                log_prob = np.full(len(mine), -0.5, np.float32)
                answers.append(Answer({"": value}, log_prob, np.zeros((len(mine), 0), np.uint8), f"p{i}", (1, number)))
            else:
                answers.append(None)
        return answers


def play(copies, abort=True, number=7, asked=None, kind=Echo, game=Relay, defaults=False, **fault):
    block = Block(seed=3, number=number, abort=abort, defaults=defaults)
    copies = np.array(copies, np.uint32)
    minds = kind(number, copies, [] if asked is None else asked, **fault)
    with ThreadPoolExecutor(1) as workers:
        environment = game(EnvironmentConfig(), len(copies))
        return asyncio.run(play_block(environment, copies, minds, block, workers)), block


def test_only_awaited_rows_are_asked():
    asked = []
    play(range(4), asked=asked)
    everyone = (0, 1, 2, 3)
    assert [ask for ask in asked if ask[1] == 0] == [
        (0, 0, everyone), (1, 0, everyone), (2, 0, everyone), (3, 0, (1, 2)), (4, 0, (2,)),
    ]  # fmt: skip
    assert [ask for ask in asked if ask[1] == 1 and ask[2]] == [(1, 1, everyone), (3, 1, (1, 2))]


def test_what_happened_is_recorded():
    trajectory, _ = play(range(4))
    first, second = trajectory.agents
    assert trajectory.steps == 5 and trajectory.state[""].shape == (6, 4)
    assert second.acted.tolist() == [[0] * 4, [1] * 4, [0] * 4, [0, 1, 1, 0], [0] * 4]
    assert first.action[""].array[3, 1, 0] == pytest.approx(np.sin(1 + 70 + 9 + 1))
    assert second.reward[1, 2] == pytest.approx(np.sin(1 + 1 + 70 + 3 + 2))
    assert first.version[3, 1].tolist() == [1, 3] and first.version[3, 0].tolist() == [0, 0]
    assert first.log_prob[2, 3] == np.float32(-0.5) and first.log_prob[4, 0] == 0
    assert first.policy_id == "p0"
    paid = first.reward.sum(axis=0) + second.reward.sum(axis=0)
    np.testing.assert_allclose(trajectory.state[""].array[-1] - trajectory.state[""].array[0], paid)
    assert first.terminated.sum(axis=0).tolist() == [3, 2, 1, 3]


def test_a_copy_does_not_depend_on_its_company():
    whole, _ = play(range(4))
    together, _ = play([3, 1])
    for place, copy in enumerate([3, 1]):
        for mine, theirs in zip(whole.agents, together.agents, strict=True):
            for name in ("log_prob", "reward", "acted", "version"):
                assert np.array_equal(getattr(mine, name)[: together.steps, copy], getattr(theirs, name)[:, place]), (
                    name
                )
            assert np.array_equal(mine.action[""].array[: together.steps, copy], theirs.action[""].array[:, place])
            seen = mine.observation[""].array[: together.steps + 1, copy]
            assert np.array_equal(seen, theirs.observation[""].array[:, place])


def test_blocks_differ_and_repeat():
    one, again, other = (play(range(3), number=n)[0].state[""].array[0] for n in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


@pytest.mark.parametrize("error", [Unavailable("host:1", "gone"), Refused(12, "x", "an answer", "none")])
def test_abort_names_the_agent(error):
    with pytest.raises(Refused, match="second"):
        play(range(4), broken=1, error=error)


def test_the_fallback_repeats_marks_and_counts():
    trajectory, block = play(range(4), broken=1, error=Unavailable("host:1", "gone"), abort=False)
    second = trajectory.agents[1]
    assert second.acted.tolist() == [[0] * 4, [1] * 4, [0] * 4, [0, 2, 2, 0], [0] * 4]
    assert np.array_equal(second.action[""].array[3, 1], second.action[""].array[1, 1])
    assert block.substituted == 2


def test_the_fallback_starts_in_the_middle():
    class Mute(Echo):
        async def decide(self, number, step, rows):
            return [Unavailable("host:1", "gone")] * 2

    trajectory, block = play(range(2), kind=Mute, abort=False)
    assert not trajectory.agents[0].action[""].array.any() and block.substituted == 7 + 3


class Turns(Relay):
    """Copies take turns: copy c awaits agent 0 where its moment is even or odd as c is. It has a default action."""

    def _show(self, rewards):
        shown = super()._show(rewards)
        shown.awaited[:, 0] &= self.moment % 2 == self.copies % 2
        shown.awaited[:, 1] = self.moment < self.length
        return shown

    def default_action(self, index, rows):
        assert self.awaited[rows, index].all()
        return {"": np.full((len(rows), 1), 0.25)}


def test_the_fallback_repeats_what_the_agent_last_did_in_that_copy():
    trajectory, block = play(range(2), kind=Echo, game=Turns, broken=0, error=Unavailable("host:1", "x"), abort=False)
    first = trajectory.agents[0]
    assert first.acted.tolist() == [[1, 0], [0, 1], [2, 0], [0, 2]]
    for step, copy in ((2, 0), (3, 1)):
        assert first.action[""].array[step, copy, 0] == pytest.approx(np.sin(1 + 70 + 3 * (step - 2) + copy))
    assert block.substituted == 2


def test_the_environments_own_action_can_stand_in():
    error = Refused(12, "x", "an answer", "none")
    trajectory, block = play(range(2), game=Turns, broken=0, error=error, abort=False, defaults=True)
    first = trajectory.agents[0]
    assert first.acted.tolist() == [[1, 0], [0, 1], [2, 0], [0, 2]] and block.substituted == 2
    assert first.action[""].array[2].tolist() == [[0.25], [0.0]] and first.action[""].array[3].tolist() == [
        [0.0],
        [0.25],
    ]
    assert first.reward[2].tolist() == [0.25, 0.0]
    assert first.version[2].tolist() == [[0, 0], [0, 0]]


threads = []


class Quick(Relay):
    """Notes where it is stepped."""

    def __init__(self, config, num_envs):
        super().__init__(config, num_envs)
        threads.clear()

    def step(self, actions):
        threads.append(threading.get_ident())
        return super().step(actions)


class Outsourced(Quick):
    pids = (1,)

    def close(self):
        """Nothing runs."""


def test_a_game_that_waits_for_processes_never_holds_up_the_loop():
    play(range(4), game=Quick)
    assert threads[0] != threading.get_ident() and threading.get_ident() in threads
    play(range(4), game=Outsourced)
    assert len(threads) == 5 and threading.get_ident() not in threads
