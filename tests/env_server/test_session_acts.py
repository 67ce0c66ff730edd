"""What a session lets its driver do, what it keeps when something fails, and what becomes of its game."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import IllegalAction, Refused
from agora.v1 import environment_pb2, policy_pb2, seat_pb2
from env_server.environments.base import EnvironmentConfig, Step
from env_server.pool import Pool
from env_server.rollout.collect import Workshop, key_of
from env_server.sessions import session as session_module
from env_server.sessions.session import OPEN, Session

SPEC = environment_pb2.EnvironmentSpec(name="clocks", config_json="{}", num_envs=3)
END = 4


class Clocks:
    """Three copies with clocks of their own; ``even`` acts when a clock is even, ``odd`` when it is odd, until 4.

    Who acts is paid its action; in every step ``even`` is paid 100 x the copy's number more.
    """

    Config = EnvironmentConfig
    agents = ("even", "odd")
    facts = {}  # noqa: RUF012
    observation_spaces = dict.fromkeys(agents, spaces.Box(0, 99, (), np.int32))
    action_spaces = dict.fromkeys(
        agents, spaces.Dict({"kind": spaces.Discrete(5), "size": spaces.Box(0.0, 9.0, (2,), np.float32)})
    )
    state_space = spaces.Box(0, 99, (), np.int32)

    def __init__(self):
        self.config, self.num_envs = EnvironmentConfig(), 3
        self.resets, self.threads, self.fault, self.seen = [], [], None, []

    def reset(self, seed, copies):
        self.resets.append((seed, copies.dtype, copies.tolist()))
        self.clock = np.zeros(3, np.int64)
        return self._show(np.zeros((3, 2)))

    def step(self, actions):
        self.threads.append(threading.get_ident())
        if self.fault is not None:
            raise self.fault
        self.seen.append(actions)
        going = self.clock < END
        self.clock[going] += 1
        kinds = np.stack([action["kind"] for action in actions], axis=1)
        return self._show(kinds * self.awaited + np.stack([100.0 * np.arange(3) * going, np.zeros(3)], axis=1))

    def _show(self, rewards):
        going = self.clock < END
        self.awaited = np.stack([going & (self.clock % 2 == 0), going & (self.clock % 2 == 1)], axis=1)
        ended = np.stack([~going, ~going], axis=1)
        seen = {"": self.clock.astype(np.int32)}
        masks = {i: {"": np.full((3, 1), i, np.uint8)} for i in range(2)}
        return Step([seen, seen], seen, rewards, ended, np.zeros_like(ended), self.awaited, masks)


class Restarting(Clocks):
    """Copies start again one by one."""

    def restart(self, seed, copies, rows):
        self.resets.append((seed, rows.tolist()))
        self.clock[rows] = 0
        step = self._show(np.zeros((3, 2)))
        over = np.zeros_like(step.terminated)
        return Step(step.observations, step.state, step.rewards, over, over, step.awaited, step.action_masks)


@pytest.fixture
def workshop():
    ended = []

    async def close(game):
        ended.append(game)

    with ThreadPoolExecutor(2) as workers:
        shop = Workshop("tests", None, workers, Pool(4, close), Pool(4), max_sessions=2)
        shop.ended = ended
        yield shop


def doing(*kinds, copies=3):
    """Actions of both agents: a kind, or None for nothing."""
    return [
        {} if kind is None else {"size": np.ones((copies, 2), np.float32), "kind": np.full(copies, kind)}
        for kind in kinds
    ]


def play(workshop, game, script, driven=(0, 1)):
    async def run():
        session = Session(workshop, SPEC, game)
        session.driven = driven
        return await script(session)

    return asyncio.run(run())


def refusal(act):
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


def test_seeds_and_copies_reach_the_game(workshop):
    game = Clocks()

    async def script(session):
        for seed in (0, 2**63 - 1):
            await session.reset(seed)
        await session.reset(7, np.arange(3))
        for seed in (-1, 2**63):
            with pytest.raises(Refused, match=r"OUT_OF_BOUNDS: reset\.seed"):
                await session.reset(seed)

    play(workshop, game, script)
    assert game.resets == [(seed, np.dtype(np.uint32), [0, 1, 2]) for seed in (0, 2**63 - 1, 7)]


@pytest.mark.parametrize("rows", [[1, 0], [1, 1], [-1, 0], [1, 3], [3]])
def test_rows_that_start_again_rise_and_are_there(workshop, rows):
    game = Restarting()

    async def script(session):
        await session.reset(1)
        with pytest.raises(Refused, match=r"reset\.copies: expected rising numbers below 3"):
            await session.reset(2, np.array(rows))

    play(workshop, game, script)
    assert len(game.resets) == 1


def test_copies_start_alone_after_all_have_started_and_where_the_game_can(workshop):
    async def early(session):
        with pytest.raises(Refused, match=r"NOT_READY: reset\.copies"):
            await session.reset(2, np.array([0]))

    async def unable(session):
        await session.reset(1)
        with pytest.raises(Refused, match=r"UNSUPPORTED: reset\.copies"):
            await session.reset(2, np.array([0]))

    play(workshop, Restarting(), early)
    play(workshop, Clocks(), unable)


def test_what_is_acted_on_is_what_was_said_and_the_idle_action_elsewhere(workshop):
    game = Clocks()

    async def script(session):
        await session.reset(1)
        await session.step(doing(3, None))
        await session.step(doing(None, 4))

    play(workshop, game, script)
    for number, (said, kind) in enumerate(((0, 3), (1, 4))):
        assert game.seen[number][said]["kind"].tolist() == [kind] * 3
        idle = game.seen[number][1 - said]
        assert idle["kind"].tolist() == [0] * 3 and idle["size"].tolist() == [[4.5, 4.5]] * 3


def test_rows_that_nobody_awaits_may_hold_anything(workshop):
    """After copy 1 alone started again, ``even`` is awaited there and ``odd`` elsewhere."""
    game = Restarting()

    async def script(session):
        await session.reset(1)
        await session.step(doing(1, None))
        shown = await session.reset(2, np.array([1]))
        assert shown.awaited.tolist() == [[False, True], [True, False], [False, True]]
        said = doing(1, 1)
        said[0]["kind"] = np.array([77, 2, -1])
        said[1]["kind"] = np.array([3, 77, 4])
        good = await session.step(said)
        assert good.rewards.tolist() == [[0.0, 3.0], [102.0, 0.0], [200.0, 4.0]]
        said = doing(1, 1)
        # Now "even" is awaited in copies 0 and 2, and "odd" in copy 1.
        said[1]["kind"] = np.array([1, 5, 1])
        with pytest.raises(Refused, match=r"agents\[1\]\.action\[0\]: expected \[0, 4\], got 5"):
            await session.step(said)

    play(workshop, game, script)
    assert len(game.seen) == 2


@pytest.mark.parametrize(
    ("actions", "field", "words"),
    [
        (doing(1), "step.agents", "expected 2 agents, got 1"),
        (doing(1, None, None), "step.agents", "expected 2 agents, got 3"),
        (doing(None, None), "agents[0].action", "expected 2 leaves, got 0"),
        ([{"kind": np.ones(3, np.int64)}, {}], "agents[0].action", "expected 2 leaves, got 1"),
        (doing(1, None, copies=2), "agents[0].action[0]", "expected [3], got [2]"),
        (doing(1, None, copies=4), "agents[0].action[0]", "expected [3], got [4]"),
        (
            [{**doing(1)[0], "size": np.ones((3, 3), np.float32)}, {}],
            "agents[0].action[1]",
            "expected [3, 2], got [3, 3]",
        ),
        (doing(9, None), "agents[0].action[0]", "expected [0, 4], got 9"),
        ([{**doing(1)[0], "kind": np.int64(1)}, {}], "agents[0].action[0]", "expected [3], got []"),
        (doing(1, 1, copies=1), "agents[0].action[0]", "expected [3], got [1]"),
    ],
)
def test_wrong_actions_are_refused_by_field_and_change_nothing(workshop, actions, field, words):
    game = Clocks()

    async def script(session):
        await session.reset(1)
        with pytest.raises(Refused) as caught:
            await session.step(actions)
        assert caught.value.field == field and words in str(caught.value)
        assert not game.seen
        return await session.step(doing(2, None))

    assert play(workshop, game, script).rewards[:, 0].tolist() == [2.0, 102.0, 202.0]


def test_a_played_agent_is_not_the_drivers(workshop):
    async def script(session):
        await session.reset(1)
        with pytest.raises(Refused, match=r"UNKNOWN_AGENT: agents\[1\]\.action: .*a service plays it, got 2 leaves"):
            await session.step(doing(1, 1))
        return await session.step(doing(1, None))

    shown = play(workshop, Clocks(), script, driven=(0,))
    assert shown.observations[0][""].tolist() == [2, 2, 2] and shown.observations[1] == {}
    assert set(shown.action_masks) == {0} and shown.awaited.tolist() == [[True, False]] * 3


class Seats:
    """Plays ``odd``, with kind 2; refuses as often as it is told to."""

    numbers = (1,)

    def __init__(self, refuses=0):
        self.refuses, self.begun, self.steps, self.back = refuses, [], 0, 0

    def begin(self, seed):
        self.begun.append(seed)

    def begin_some(self, rows):
        self.begun.append(rows.tolist())

    def stepped(self):
        self.steps += 1

    async def act(self, now, idle):
        if now.awaited[:, 1].any() and self.refuses:
            self.refuses -= 1
            raise Refused(policy_pb2.REASON_DEADLINE, "odd", "an answer", "none", retryable=True)
        return {1: doing(None, 2)[1]}

    async def give_back(self):
        self.back += 1


def test_what_was_earned_before_a_service_failed_is_told_when_the_step_is_sent_again(workshop):
    """``even``'s own step was taken; the one that needs the service is taken once, when it answers."""
    game, seats = Clocks(), Seats(refuses=2)

    async def script(session):
        session._played = seats
        await session.reset(5)
        for _ in range(2):
            with pytest.raises(Refused, match="DEADLINE"):
                await session.step(doing(3, None))
        return await session.step(doing(3, None))

    shown = play(workshop, game, script, driven=(0,))
    assert shown.rewards.tolist() == [[3.0 + 200 * copy, 2.0] for copy in range(3)]
    assert shown.observations[0][""].tolist() == [2, 2, 2]
    assert seats.begun == [5] and seats.steps == len(game.seen) == 2


def test_a_copy_that_starts_again_forgets_what_it_earned_and_the_others_do_not(workshop):
    game, seats = Restarting(), Seats(refuses=1)

    async def script(session):
        session._played = seats
        await session.reset(5)
        with pytest.raises(Refused, match="DEADLINE"):
            await session.step(doing(3, None))
        return await session.reset(9, np.array([1]))

    shown = play(workshop, game, script, driven=(0,))
    assert seats.begun == [5, [1]]
    # A driven agent is awaited in copy 1, so nothing is played on: the others still wait for the service.
    assert shown.rewards.tolist() == [[3.0, 0.0], [0.0, 0.0], [203.0, 0.0]]
    assert shown.observations[0][""].tolist() == [1, 0, 1]


def test_ends_are_told_once_and_who_starts_again_is_there_again(workshop):
    game = Restarting()

    async def script(session):
        await session.reset(1)
        shown = [await session.step(doing(*((1, None), (None, 1))[number % 2])) for number in range(END)]
        again = await session.reset(2, np.array([0, 2]))
        return *shown, again, await session.step(doing(1, None))

    *going, over, again, last = play(workshop, game, script)
    assert not any(step.terminated.any() for step in going) and all(step.alive.all() for step in going)
    assert over.terminated.all() and not over.truncated.any() and not over.alive.any() and not over.awaited.any()
    assert not again.terminated.any() and not again.truncated.any()
    assert again.alive.tolist() == last.alive.tolist() == [[True] * 2, [False] * 2, [True] * 2]
    assert last.awaited.tolist() == [[False, True], [False, False], [False, True]]


class Cut(Clocks):
    """Tells no end; ``odd`` is gone from the second step on, and nobody is awaited after the fourth."""

    def _show(self, rewards):
        shown = super()._show(rewards)
        no = np.zeros_like(shown.terminated)
        alive = np.stack([np.ones(3, bool), self.clock < 2], axis=1)
        seen = shown.observations
        return Step(seen, seen[0], rewards, no, no, shown.awaited & alive, alive=alive)

    def step(self, actions):
        shown = super().step(actions)
        if self.clock[0] in (1, 3):
            self.awaited[:] = [[True, False]] * 3
            shown = Step(shown.observations, shown.state, shown.rewards, shown.terminated, shown.truncated,
                         self.awaited, alive=shown.alive)  # fmt: skip
        return shown


def test_ends_that_a_game_does_not_tell(workshop):
    async def script(session):
        await session.reset(1)
        return [await session.step(doing(1, None)) for _ in range(END)]

    steps = play(workshop, Cut(), script)
    told = [(step.terminated[0].tolist(), step.truncated[0].tolist(), step.alive[0].tolist()) for step in steps]
    no = [False, False]
    assert told == [
        (no, no, [True, True]),
        ([False, True], no, [True, False]),
        (no, no, [True, False]),
        (no, [True, False], no),
    ]


def test_what_is_shown_is_the_callers_to_keep(workshop):
    async def script(session):
        await session.reset(1)
        first = await session.step(doing(2, None))
        kept = first.rewards.copy(), first.alive.copy(), first.awaited.copy()
        for number in range(3):
            await session.step(doing(*((None, 2), (2, None), (None, 2))[number]))
        return zip(kept, (first.rewards, first.alive, first.awaited), strict=True)

    assert all(np.array_equal(*pair) for pair in play(workshop, Clocks(), script))


def test_a_game_is_stepped_on_the_loop_when_it_was_quick_the_last_time(workshop, monkeypatch):
    """A step shorter than 3 ms holds nobody up; whoever waits for processes never steps there."""
    clock, lasts = [0.0], iter([2, 2, 3, 2])
    monkeypatch.setattr(session_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(session_module, "QUICK_SECONDS", 3)

    class Timed(Clocks):
        def step(self, actions):
            clock[0] += next(lasts)
            return super().step(actions)

        def reset(self, seed, copies):
            clock[0] += 3
            return super().reset(seed, copies)

    class Outsourced(Timed):
        pids = ()

        def close(self):
            """Nothing runs."""

    async def script(session):
        await session.reset(1)
        for number in range(4):
            await session.step(doing(*((1, None), (None, 1))[number % 2]))

    here = threading.get_ident()
    play(workshop, game := Timed(), script)
    assert [thread == here for thread in game.threads] == [False, True, True, False]
    lasts = iter([0] * 4)
    play(workshop, game := Outsourced(), script)
    assert len(game.threads) == 4 and here not in game.threads


@pytest.mark.parametrize(
    ("fault", "told", "breaks"),
    [
        (IllegalAction("even.action", "a legal one", "another"), "OUT_OF_BOUNDS: even.action", False),
        (ValueError("a secret"), "INTERNAL: step: expected no fault, got incident", True),
        (Refused(policy_pb2.REASON_INTERNAL, "worker", "to live", "its death"), "INTERNAL: worker", True),
    ],
)
def test_after_a_fault_a_game_is_not_given_to_others(workshop, fault, told, breaks):
    game = Clocks()

    async def script(session):
        workshop.sessions += 1
        await session.reset(1)
        game.fault = fault
        with pytest.raises(Refused, match=told) as caught:
            await session.step(doing(1, None))
        assert "secret" not in str(caught.value)
        game.fault = None
        if breaks:
            with pytest.raises(Refused, match="NOT_READY: step"):
                await session.step(doing(1, None))
            await session.reset(1)
        await session.step(doing(1, None))
        await session.close()

    play(workshop, game, script)
    assert workshop.ended == ([game] if breaks else [])
    assert workshop.environments.find(key_of(SPEC)) is (None if breaks else game)
    assert workshop.sessions == 0


def test_a_step_that_nobody_waits_for_is_ended_before_its_game_is(workshop):
    gate, entered = threading.Event(), threading.Event()

    class Slow(Clocks):
        def step(self, actions):
            entered.set()
            assert gate.wait(60)
            return super().step(actions)

    game = Slow()

    async def script(session):
        workshop.sessions += 1
        await session.reset(1)
        session._quick = False
        step = asyncio.create_task(session.step(doing(1, None)))
        await asyncio.to_thread(entered.wait, 60)
        step.cancel()
        await asyncio.wait({step})
        closing = [asyncio.create_task(session.close()) for _ in range(2)]
        for _ in range(50):
            await asyncio.sleep(0)
        assert not workshop.ended and not any(task.done() for task in closing)
        # Nothing else holds the end, which goes on when nobody waits for it.
        assert session._ending in session_module._ENDING
        closing[0].cancel()
        gate.set()
        await closing[1]
        assert len(game.seen) == 1 and session._ending not in session_module._ENDING
        for act in (lambda: session.reset(1), lambda: session.step(doing(1, None))):
            with pytest.raises(Refused, match="NOT_READY"):
                await act()

    play(workshop, game, script)
    assert workshop.ended == [game] and workshop.sessions == 0


MATRIX = environment_pb2.EnvironmentSpec(name="matrix", config_json="{}", num_envs=2)


def test_sessions_are_counted_and_their_games_used_again(workshop):
    async def run():
        before = OPEN._value.get()
        first, second = [await Session.open(workshop, MATRIX) for _ in range(2)]
        assert first.environment is not second.environment and first.driven == (0, 1)
        with pytest.raises(Refused, match="CAPACITY: session: expected at most 2 sessions, got 2 open") as caught:
            await Session.open(workshop, MATRIX)
        assert caught.value.retryable and workshop.sessions == 2 == OPEN._value.get() - before
        await first.close()
        await first.close()
        assert workshop.sessions == 1 == OPEN._value.get() - before
        third = await Session.open(workshop, MATRIX)
        assert third.environment is first.environment
        for session in (second, third):
            await session.close()
        assert OPEN._value.get() == before

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "seats"),
    [({"name": "chess"}, []), ({}, ["ghost"]), ({}, ["player_0", "player_1"])],
)
def test_an_opening_that_is_refused_leaves_nothing_behind(workshop, changes, seats):
    async def run():
        before = OPEN._value.get()
        spec = environment_pb2.EnvironmentSpec(name=changes.get("name", "matrix"), config_json="{}", num_envs=2)
        played = [seat_pb2.Seat(agent=agent, addresses=["127.0.0.1:1"]) for agent in seats]
        with pytest.raises(Refused):
            await Session.open(workshop, spec, played)
        assert workshop.sessions == 0 and OPEN._value.get() == before
        assert (workshop.environments.find(key_of(spec)) is not None) == bool(seats)

    asyncio.run(run())


def test_who_is_played_is_not_driven(workshop, monkeypatch):
    made = []

    class Greeted(Seats):
        def __init__(self, *arguments):
            super().__init__()
            made.append(arguments)

        async def greet(self):
            self.greeted = True

    monkeypatch.setattr(session_module, "Played", Greeted)

    async def run():
        seats = [seat_pb2.Seat(agent="player_1", addresses=["x"])]
        session = await Session.open(workshop, MATRIX, seats, timeout=7.0)
        assert made == [(workshop, session.environment, "matrix", seats, 7.0)]
        assert session.driven == (0,) and session._played.greeted
        await session.close()
        assert session._played.back == 1

    asyncio.run(run())


def test_links_go_back_with_the_session(workshop):
    seats = Seats()

    async def script(session):
        workshop.sessions += 1
        session._played = seats
        await session.close()
        await session.close()

    play(workshop, Clocks(), script)
    assert seats.back == 1
