"""One collection by itself: what is asked of agents, counted, logged and given back, also when something fails."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused, Unavailable
from agora.v1 import environment_pb2, policy_pb2, rollout_pb2 as pb, seat_pb2
from env_server.environments.base import EnvironmentConfig, Step
from env_server.pool import Pool
from env_server.rollout import collect as module
from env_server.rollout.collect import MAX_RETRIES, Collection, Workshop, key_of
from env_server.rollout.decisions import Answer
from env_server.rollout.runner import Block

AGENTS = ("a", "b")
STEPS, COPIES = 3, 2
SPEC = environment_pb2.EnvironmentSpec(name="short", config_json="{}", num_envs=COPIES)


class Short:
    """Three steps, in which everybody is awaited and paid what it says; its state is the seed's last three digits."""

    Config = EnvironmentConfig
    agents = AGENTS
    facts = {}  # noqa: RUF012
    observation_spaces = dict.fromkeys(agents, spaces.Box(0, 9, (), np.int32))
    action_spaces = dict.fromkeys(agents, spaces.Discrete(100))
    state_space = spaces.Box(0, 999, (), np.int64)

    def __init__(self):
        self.config, self.num_envs, self.fault, self.seeds = EnvironmentConfig(), COPIES, None, []

    def reset(self, seed, copies):
        assert copies.tolist() == list(range(COPIES)) and copies.dtype == np.uint32
        self.number, self.seed = 0, seed
        self.seeds.append(seed)
        return self._show(np.zeros((COPIES, 2)))

    def step(self, actions):
        if self.fault is not None:
            raise self.fault
        self.number += 1
        return self._show(np.stack([action[""] for action in actions], axis=1).astype(float))

    def _show(self, rewards):
        seen = {"": np.full(COPIES, self.number, np.int32)}
        over = np.full((COPIES, 2), self.number == STEPS)
        state = {"": np.full(COPIES, self.seed % 1000)}
        return Step([seen, seen], state, rewards, over, np.zeros_like(over), ~over)


class Link:
    """Counts on, as a link that others used before."""

    def __init__(self, error=None):
        self.stale, self.reconnects, self.error, self.opened, self.dismissed = 5, 7, error, [], 0

    async def open(self, timeout):
        self.opened.append(timeout)
        if self.error is not None:
            raise self.error

    async def dismiss_guests(self):
        self.dismissed += 1


class Minds:
    """Say 10 x the agent's number + the step; agent 1 fails in the second step if it is told to."""

    made, failing = [], None

    def __init__(self, links, ports, copies, block, timeout, retries):
        self.links, self.ports, self.block, self.timeout, self.retries = links, ports, block, timeout, retries
        Minds.made.append(self)

    async def decide(self, number, step, rows):
        self.links[0].stale += 1
        self.links[1].reconnects += 2
        answers = []
        for i, mine in enumerate(rows):
            some = len(mine)
            memory = np.zeros((some, 0), np.uint8)
            answers.append(
                Answer({"": np.full(some, 10 * i + number)}, np.zeros(some, np.float32), memory, "p", (1, 2))
            )
        if number == 1 and Minds.failing is not None:
            answers[1] = Minds.failing
        return answers


@pytest.fixture(autouse=True)
def minds(monkeypatch):
    monkeypatch.setattr(module, "RemoteMinds", Minds)
    Minds.made, Minds.failing = [], None


@pytest.fixture
def workshop(tmp_path):
    ended = []

    async def close(game):
        ended.append(game)

    with ThreadPoolExecutor(2) as workers:
        shop = Workshop("tests", tmp_path / "log", workers, Pool(4, close), Pool(8))
        shop.ended, shop.links_taken, shop.two = ended, [], {b"1": Link(), b"2": Link()}

        def take(specs, seats, game, seed):
            shop.links_taken.append((list(specs), seats, game, seed))
            return shop.two

        shop.take_links = take
        yield shop


def request(**changes):
    seats = [seat_pb2.Seat(agent=agent, addresses=[f"host:{agent}"], policy={"policy_id": agent}) for agent in AGENTS]
    fields = {"environment": SPEC, "seed": 5, "num_blocks": 3, "first_block": 4, "deadline_us": 2_500_000, "run": "r"}
    return pb.CollectRequest(seats=changes.pop("seats", seats), **{**fields, **changes})


def play(workshop, game, message, until=None):
    """The collection, and what it handed on; the error if it ended in one."""

    async def run():
        await workshop.environments.give(key_of(message.environment), game)
        collection, got, failure = await Collection.prepare(message, workshop), [], None
        assert collection.environment is game
        playing = collection.play()
        try:
            async for trajectory in playing:
                got.append(trajectory)
                if len(got) == until:
                    break
        except Exception as error:
            failure = error
        await playing.aclose()
        return collection, got, failure

    return asyncio.run(run())


def test_blocks_are_numbered_seeded_and_counted(workshop):
    game = Short()
    collection, got, failure = play(workshop, game, request(retries=3))
    assert failure is None and [block.block for block in got] == [4, 5, 6]
    assert game.seeds == [Block(5, number).environment_seed for number in (4, 5, 6)] and len(set(game.seeds)) == 3
    summary = collection.summary
    assert (summary.blocks, summary.environment_steps, summary.substituted_actions) == (3, 3 * STEPS * COPIES, 0)
    # Only what happened in this collection: an answer was late and two streams broke in every step.
    assert (summary.stale_answers, summary.reconnects) == (3 * STEPS, 2 * 3 * STEPS)
    assert [(made.block, made.timeout, made.retries) for made in Minds.made] == [(n, 2.5, 3) for n in (4, 5, 6)]
    assert got[0].agents[1].reward.tolist() == [[10.0, 10.0], [11.0, 11.0], [12.0, 12.0]]
    assert got[0].agents[0].observation[""].array[:, 0].tolist() == [0, 1, 2, 3]


def test_a_collection_lasts_from_its_first_block_to_what_goes_back(workshop, monkeypatch):
    """Its blocks take 7, 8 and 9 s, and what is told is in microseconds."""
    clock, lasts = [1000.0], iter([7.0, 8.0, 9.0])

    class Long(Short):
        def reset(self, seed, copies):
            clock[0] += next(lasts)
            return super().reset(seed, copies)

    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    collection, _, _ = play(workshop, Long(), request())
    assert collection.summary.duration_us == 24_000_000 and workshop.sessions == 0


def test_what_services_are_told(workshop):
    exploring = pb.CollectExploration(noise_scale=0.5, temperature=2.0, epsilon=0.25, unilateral=True)
    play(workshop, Short(), request(exploration=exploring, num_blocks=1))
    ((specs, seats, game, seed),) = workshop.links_taken
    assert [(spec.id, spec.policy.policy_id) for spec in specs] == [("a", "a"), ("b", "b")]
    assert seats == {"a": ("host:a",), "b": ("host:b",)} and (game, seed) == ("short", 5)
    ports = Minds.made[0].ports
    told = ports[1].exploration
    assert (told.noise_scale, told.temperature, told.epsilon) == (0.5, 2.0, 0.25)
    # One agent explores in every copy: the one whose turn it is.
    assert [port.explores.tolist() for port in ports] == [[1, 0], [0, 1]]
    assert [port.policy.policy_id for port in ports] == ["a", "b"]
    play(workshop, Short(), request(num_blocks=1))
    assert all(port.exploration is None and not len(port.explores) for port in Minds.made[-1].ports)
    play(workshop, Short(), request(num_blocks=1, exploration=pb.CollectExploration(noise_scale=0.5)))
    assert all(port.exploration.noise_scale == 0.5 and not len(port.explores) for port in Minds.made[-1].ports)


def test_everything_goes_back_after_a_collection(workshop):
    game, message = Short(), request()
    play(workshop, game, message)
    assert workshop.ended == [] and workshop.environments.find(key_of(SPEC)) is game
    assert [link.opened for link in workshop.two.values()] == [[2.5], [2.5]]
    assert [link.dismissed for link in workshop.two.values()] == [1, 1]
    assert workshop.links.find(b"1") is workshop.two[b"1"] and workshop.links.find(b"2") is workshop.two[b"2"]


@pytest.mark.parametrize("until", [1, None])
def test_a_game_that_failed_or_was_left_in_the_midst_is_ended(workshop, until):
    game = Short()
    if until is None:
        game.fault = ValueError("a fault")
    collection, got, failure = play(workshop, game, request(), until)
    assert isinstance(failure, ValueError if until is None else type(None)) and len(got) == (until or 0)
    assert workshop.ended == [game] and workshop.environments.find(key_of(SPEC)) is None
    assert collection.summary.blocks == (until or 0)
    assert workshop.links.find(b"1") is workshop.two[b"1"] and workshop.two[b"2"].dismissed == 1


def test_a_service_that_failed_costs_the_collection_and_not_the_game(workshop):
    game, Minds.failing = Short(), Unavailable("host:b", "gone")
    collection, got, failure = play(workshop, game, request())
    assert isinstance(failure, Refused) and failure.field == "b" and not got
    assert workshop.ended == [] and workshop.environments.find(key_of(SPEC)) is game
    assert collection.summary.stale_answers == 2 and collection.summary.substituted_actions == 0


def test_actions_that_stand_in_are_counted(workshop):
    Minds.failing = Unavailable("host:b", "gone")
    collection, got, failure = play(workshop, Short(), request(fallback=pb.FALLBACK_REPEAT_LAST))
    assert failure is None and len(got) == 3
    assert collection.summary.substituted_actions == 3 * COPIES
    # What "b" did last stands in.
    assert got[0].agents[1].reward[:, 0].tolist() == [10.0, 10.0, 12.0]
    assert got[0].agents[1].acted[:, 0].tolist() == [1, 2, 1]


@pytest.mark.parametrize("fallback", [pb.FALLBACK_UNSPECIFIED, pb.FALLBACK_ABORT, pb.FALLBACK_REPEAT_LAST])
def test_a_service_that_is_not_there_ends_a_collection_that_may_not_stand_in(workshop, fallback):
    workshop.two[b"2"].error = Unavailable("host:b", "gone")
    _, got, failure = play(workshop, Short(), request(fallback=fallback))
    if fallback == pb.FALLBACK_REPEAT_LAST:
        assert failure is None and len(got) == 3
    else:
        assert failure is workshop.two[b"2"].error and not got


def test_a_service_that_refuses_is_never_stood_in_for(workshop):
    workshop.two[b"1"].error = Refused(policy_pb2.REASON_UNKNOWN_POLICY, "x", "y", "z")
    _, _, failure = play(workshop, Short(), request(fallback=pb.FALLBACK_REPEAT_LAST))
    assert failure is workshop.two[b"1"].error


@pytest.mark.parametrize(("log", "outcomes_only"), [(False, False), (False, True), (True, False), (True, True)])
def test_what_is_logged_is_seen_and_outcomes_alone_are_not(workshop, log, outcomes_only):
    _, got, _ = play(workshop, Short(), request(log=log, outcomes_only=outcomes_only))
    assert bool(got[0].state) == bool(got[0].agents[0].observation) == (log or not outcomes_only)
    files = [path.name for path in workshop.log_directory.iterdir()] if log else []
    assert files == (["r-000000004-000000006.parquet"] if log else []) and workshop.log_directory.exists() == log


def test_a_log_needs_a_folder(workshop):
    workshop.log_directory = None
    with pytest.raises(Refused, match="UNSUPPORTED: log: expected a server started with --log-directory"):
        play(workshop, Short(), request(log=True))


def test_a_game_without_a_default_action_cannot_stand_in_for_anybody(workshop):
    with pytest.raises(Refused, match="UNSUPPORTED: fallback"):
        play(workshop, Short(), request(fallback=pb.FALLBACK_ENVIRONMENT_DEFAULT))


class Defaulting(Short):
    """Says 50 for whoever does not answer."""

    def default_action(self, index, rows):
        return {"": np.full(len(rows), 50)}


@pytest.mark.parametrize(
    ("fallback", "says"), [(pb.FALLBACK_ENVIRONMENT_DEFAULT, 50.0), (pb.FALLBACK_REPEAT_LAST, 10.0)]
)
def test_what_stands_in_is_what_was_asked_for(workshop, fallback, says):
    Minds.failing = Unavailable("host:b", "gone")
    _, got, _ = play(workshop, Defaulting(), request(fallback=fallback))
    assert got[0].agents[1].reward[:, 1].tolist() == [10.0, says, 12.0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"num_blocks": 0}, "num_blocks"),
        ({"deadline_us": 0}, "deadline_us"),
        ({"retries": MAX_RETRIES + 1}, "retries"),
        ({"exploration": pb.CollectExploration(noise_scale=-1e-9)}, "exploration.noise_scale"),
        ({"exploration": pb.CollectExploration(noise_scale=np.inf)}, "exploration.noise_scale"),
        ({"exploration": pb.CollectExploration(temperature=np.nan)}, "exploration.temperature"),
        ({"exploration": pb.CollectExploration(temperature=-1.0)}, "exploration.temperature"),
        ({"exploration": pb.CollectExploration(epsilon=1.0001)}, "exploration.epsilon"),
        ({"exploration": pb.CollectExploration(epsilon=-0.0001)}, "exploration.epsilon"),
        ({"seats": [seat_pb2.Seat(agent="a", addresses=["x"])] * 2}, "seats"),
    ],
)
def test_wrong_requests_take_nothing(workshop, changes, field):
    game = Short()
    with pytest.raises(Refused) as caught:
        play(workshop, game, request(**changes))
    assert caught.value.field == field
    assert workshop.environments.find(key_of(SPEC)) is game and not workshop.links_taken


def test_the_most_that_may_be_asked_for(workshop):
    exploring = pb.CollectExploration(noise_scale=1e30, temperature=1e30, epsilon=1.0)
    _, got, failure = play(workshop, Short(), request(num_blocks=1, deadline_us=1, retries=MAX_RETRIES))
    assert failure is None and len(got) == 1 and Minds.made[0].timeout == 1e-6
    assert play(workshop, Short(), request(num_blocks=1, exploration=exploring))[2] is None


def test_games_stand_for_one_another_when_their_settings_are_the_same():
    def key(**changes):
        fields = {"name": "n", "config_json": "{}", "num_envs": 1, **changes}
        return key_of(environment_pb2.EnvironmentSpec(**fields))

    assert key() == key() and len({key(), key(name="m"), key(config_json='{"a": 1}'), key(num_envs=2)}) == 4


def test_a_game_is_made_when_none_is_idle_and_its_own_faults_are_incidents(workshop, monkeypatch):
    made = []

    def make(spec):
        made.append(spec.name)
        if spec.name == "unknown":
            raise Refused(policy_pb2.REASON_UNKNOWN_ENVIRONMENT, "environment.name", "a game", spec.name)
        if spec.name == "faulty":
            raise KeyError("a secret")
        return SimpleNamespace(name=spec.name)

    monkeypatch.setattr(module, "make", make)

    def take(name):
        return asyncio.run(workshop.take_environment(environment_pb2.EnvironmentSpec(name=name, num_envs=1)))

    one = take("fine")
    asyncio.run(workshop.environments.give(("fine", "", 1), one))
    assert take("fine") is one and take("fine") is not one and made == ["fine", "fine"]
    with pytest.raises(Refused, match=r"UNKNOWN_ENVIRONMENT: environment\.name"):
        take("unknown")
    with pytest.raises(Refused, match="INTERNAL: environment: expected no fault, got incident") as caught:
        take("faulty")
    assert "secret" not in str(caught.value)


def test_links_are_used_again_for_the_same_hello_alone(tmp_path):
    workshop = Workshop("tests", None, None, Pool(4), Pool(8))

    async def run():
        def take(seed=1, game="short", a="host:1"):
            specs = module.agent_specs(Short(), {})
            return workshop.take_links(specs, {"a": [a], "b": ["host:2"]}, game, seed)

        first = take()
        assert sorted(link.addresses for link in first.values()) == [("host:1",), ("host:2",)]
        await workshop.give_links(first)
        again = take()
        assert again == first
        await workshop.give_links(again)
        for other in (take(seed=2), take(game="long")):
            assert not set(other.values()) & set(first.values())
        moved = take(a="host:3")
        assert len(set(moved.values()) & set(first.values())) == 1

    asyncio.run(run())
