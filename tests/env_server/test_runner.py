"""The rollout loop: who is asked when, what is recorded, and what happens when somebody fails."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused, Unavailable
from agora.randomness import generator
from agora.v1 import policy_pb2
from env_server.environments.base import EnvironmentConfig, Step
from env_server.rollout.decisions import Answer
from env_server.rollout.runner import Block, play_block
from env_server.rollout.trajectory import AgentDecisions, Recorder


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


def play(copies, abort=True, number=7, asked=None, kind=Echo, game=Relay, defaults=False, outcomes_only=False, **fault):
    block = Block(seed=3, number=number, abort=abort, defaults=defaults, outcomes_only=outcomes_only)
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


class Unsound(Relay):
    """Pays copy 1's second agent what is no number, in the moment that ``when`` names."""

    when = 0

    def _show(self, rewards):
        if self.moment == self.when:
            rewards = rewards.copy()
            rewards[1, 1] = np.inf
        return super()._show(rewards)


@pytest.mark.parametrize("when", [0, 1, 5])
def test_a_reward_that_is_no_number_ends_the_block(when, monkeypatch):
    monkeypatch.setattr(Unsound, "when", when)
    with pytest.raises(Refused, match=r"INTERNAL: environment\.rewards: .*got inf for second in copy 1"):
        play(range(4), game=Unsound)


def test_a_service_that_is_gone_may_be_back_and_one_that_refuses_says_so_itself():
    with pytest.raises(Refused) as caught:
        play(range(4), broken=1, error=Unavailable("host:1", "gone"))
    assert caught.value.retryable and caught.value.reason == policy_pb2.REASON_UNREACHABLE
    assert caught.value.field == "second" and caught.value.got == "host:1: gone"
    for retryable in (False, True):
        with pytest.raises(Refused) as caught:
            play(range(4), broken=0, error=Refused(12, "x", "an answer", "none", retryable=retryable))
        assert caught.value.retryable == retryable and caught.value.field == "first.x"


def test_a_block_begins_from_a_seed_of_its_own_and_takes_no_stand_ins_unasked():
    assert Block(5, 7).abort and not Block(5, 7).defaults and not Block(5, 7).outcomes_only
    seeds = [Block(seed, number).environment_seed for seed in range(3) for number in range(3)]
    assert len(set(seeds)) == 9 and all(0 <= seed < 2**63 for seed in seeds)
    assert seeds[5] == generator(1, 2).integers(2**63)


def test_where_the_game_knows_nothing_the_last_action_stands_in():
    error = Unavailable("host:1", "gone")
    plain, block = play(range(4), broken=1, error=error, abort=False, defaults=True)
    repeated, _ = play(range(4), broken=1, error=error, abort=False)
    assert block.substituted == 2
    assert np.array_equal(plain.agents[1].action[""].array, repeated.agents[1].action[""].array)


class Few(Relay):
    """Its moments count who was awaited; the mask of a moment is its own number, and so is what it tells."""

    def _show(self, rewards):
        shown = super()._show(rewards)
        moment = np.full((self.num_envs, 1), self.moment, np.uint8)
        mask = {1: {"": moment}}
        return replace(shown, action_masks=mask, info={"moment": moment[:, 0]}, failures=[self.moment])


def test_masks_are_of_the_moment_before_an_action_and_what_is_told_of_the_one_after():
    trajectory, _ = play(range(4), game=Few)
    first, second = trajectory.agents
    assert second.action_mask[""].array[:, 0, 0].tolist() == [0, 1, 2, 3, 4] and first.action_mask == {}
    assert trajectory.info["moment"].array[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert trajectory.state[""].shape == (6, 4) and first.observation[""].shape == (6, 4, 2)
    assert trajectory.failures == [0, 1, 2, 3, 4, 5] and trajectory.block == 7
    assert trajectory.copies.tolist() == [0, 1, 2, 3]
    assert np.array_equal(second.observation[""].array, -first.observation[""].array)


def test_steps_are_cut_with_what_was_seen_after_them():
    whole, _ = play(range(4), game=Few)
    part = whole.part(1, 3)
    assert part.steps == 2 and part.block == 7 and part.failures == whole.failures
    assert part.copies is whole.copies and part.info["moment"].array[:, 0].tolist() == [2, 3]
    assert np.array_equal(part.state[""].array, whole.state[""].array[1:4])
    for cut, full in zip(part.agents, whole.agents, strict=True):
        assert np.array_equal(cut.observation[""].array, full.observation[""].array[1:4])
        assert np.array_equal(cut.action[""].array, full.action[""].array[1:3])
        for name in ("log_prob", "reward", "terminated", "truncated", "acted", "version"):
            assert np.array_equal(getattr(cut, name), getattr(full, name)[1:3]), name
        assert cut.policy_id == full.policy_id
    assert part.agents[1].action_mask[""].array[:, 0, 0].tolist() == [1, 2]


def test_a_trajectory_is_as_large_as_what_a_learner_gets():
    trajectory, _ = play(range(4), game=Few)
    state = 6 * 4 * 8
    seen, acted = 6 * 4 * 2 * 8, 5 * 4 * (8 + 4 + 8 + 1 + 1 + 1 + 16)
    # Actions, log-probabilities, rewards, both ends, who acted and versions; the second agent has masks.
    assert trajectory.nbytes == state + 2 * (seen + acted) + 5 * 4


def test_outcomes_alone_keep_no_sight_and_every_outcome():
    whole, _ = play(range(4), game=Few)
    lean, _ = play(range(4), game=Few, outcomes_only=True)
    assert lean.state == {} and lean.info == {} and lean.failures == whole.failures
    for less, full in zip(lean.agents, whole.agents, strict=True):
        assert less.observation == {} and less.action_mask == {}
        for name in ("reward", "terminated", "truncated", "acted", "log_prob", "version"):
            assert np.array_equal(getattr(less, name), getattr(full, name)), name
        assert np.array_equal(less.action[""].array, full.action[""].array)


class Ends(Relay):
    """The first agent comes to its end and the second is cut off."""

    def _show(self, rewards):
        shown = super()._show(rewards)
        terminated, truncated = shown.terminated.copy(), shown.terminated.copy()
        terminated[:, 1], truncated[:, 0] = False, False
        return replace(shown, terminated=terminated, truncated=truncated)


def test_ends_are_each_agents_own():
    first, second = play(range(3), game=Ends)[0].agents
    ends = [[False] * 3, [False] * 3, [True, False, False], [True, True, False], [True] * 3]
    assert first.terminated.tolist() == second.truncated.tolist() == ends
    assert not first.truncated.any() and not second.terminated.any()


def test_whose_policy_acted_is_the_first_that_says_so():
    class Late(Echo):
        async def decide(self, number, step, rows):
            answers = await super().decide(number, step, rows)
            return [Unavailable("host:1", "gone")] * 2 if number < 2 else answers

    trajectory, block = play(range(4), kind=Late, abort=False)
    assert [agent.policy_id for agent in trajectory.agents] == ["p0", "p1"]
    assert block.substituted == 4 + 4 + 4
    # What stands in has no version and no probability.
    assert not trajectory.agents[0].version[:2].any() and not trajectory.agents[0].log_prob[:2].any()


class Open(Relay):
    """Its actions have no bounds above, and the second agent's none at all."""

    action_spaces = MappingProxyType(
        {
            "first": spaces.Box(2.0, np.inf, (1,), np.float64),
            "second": spaces.Box(-np.inf, np.inf, (1,), np.float64),
        }
    )


def test_the_fallback_starts_at_the_nearest_point_to_nothing_where_bounds_are_open():
    class Mute(Echo):
        async def decide(self, number, step, rows):
            return [Unavailable("host:1", "gone")] * 2

    first, second = play(range(2), game=Open, kind=Mute, abort=False)[0].agents
    assert (first.action[""].array == 2.0).all() and not second.action[""].array.any()
    assert first.reward.sum() == 2.0 * 7 and not second.reward.any()


class Alone(Relay):
    """One agent, in episodes of one step."""

    agents = ("only",)

    def reset(self, seed, copies):
        super().reset(seed, copies)
        self.length = np.ones(self.num_envs, int)
        return self._show(np.zeros((self.num_envs, 1)))

    def _show(self, rewards):
        going = self.moment < self.length
        self.awaited = going[:, None]
        seen = {"": np.zeros((self.num_envs, 2))}
        return Step([seen], {"": self.total}, rewards, ~self.awaited, np.zeros_like(self.awaited), self.awaited)


def test_one_agent_and_one_step_are_a_block():
    trajectory, _ = play(range(3), game=Alone)
    (only,) = trajectory.agents
    assert trajectory.steps == 1 and only.observation[""].shape == (2, 3, 2) and only.action[""].shape == (1, 3, 1)
    assert only.terminated.all() and only.acted.tolist() == [[1, 1, 1]]


def test_what_all_steps_share_cannot_be_written_to():
    answer = Answer({"": np.zeros((3, 1))}, np.zeros(3, np.float32), np.zeros((3, 0), np.uint8), "p", (1, 2))
    decisions = [AgentDecisions.of(answer, np.arange(3), 3) for _ in range(2)]
    assert decisions[0].acted is decisions[1].acted and decisions[0].acted.tolist() == [1, 1, 1]
    assert decisions[0].version.tolist() == [[1, 2]] * 3
    for shared in (decisions[0].acted, decisions[0].version):
        assert not shared.flags.writeable
    assert not Recorder(1, np.arange(3, dtype=np.uint32)).outcomes_only
