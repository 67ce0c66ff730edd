"""The agents of a session that services play: who is asked what, once, and what becomes of a failure."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused, Unavailable
from agora.v1 import policy_pb2, seat_pb2
from env_server.environments.base import Step
from env_server.rollout.decisions import Answer
from env_server.sessions import played as module
from env_server.sessions.played import Played

AGENTS = ("a", "b", "c")
GAME = SimpleNamespace(
    agents=AGENTS,
    num_envs=3,
    observation_spaces=dict.fromkeys(AGENTS, spaces.Discrete(9)),
    action_spaces=dict.fromkeys(AGENTS, spaces.Discrete(9)),
)
IDLE = [{"": np.full(3, 7)} for _ in AGENTS]


class Link:
    def __init__(self, error=None):
        self.error, self.opened = error, []

    async def open(self, timeout):
        self.opened.append(timeout)
        if self.error is not None:
            raise self.error


class Minds:
    """Answers 10 x the agent's number + the step's, except for those that fail."""

    made = None

    def __init__(self, *arguments):
        self.arguments, self.asked, self.withdrawn, self.forgotten, self.failing = arguments, [], [], [], {}
        Minds.made = self

    async def decide(self, number, step, rows):
        self.asked.append((number, step.awaited.T.tolist(), [mine.tolist() for mine in rows]))
        return [self._outcome(i, number, mine) if len(mine) else None for i, mine in enumerate(rows)]

    def _outcome(self, i, number, mine):
        if i in self.failing:
            return self.failing[i]
        some = len(mine)
        return Answer(
            {"": np.full(some, 10 * i + number)}, np.zeros(some, np.float32), np.zeros((some, 0), np.uint8), "p", (1, 1)
        )

    def withdraw(self, index, rows):
        self.withdrawn.append((index, rows.tolist()))

    def forget(self, rows):
        self.forgotten.append(rows.tolist())


class Shop:
    """Gives links, and takes them back."""

    def __init__(self, *links):
        self.links = {b"%d" % i: link for i, link in enumerate(links)}

    def take_links(self, *arguments):
        self.taken = arguments
        return self.links

    async def give_links(self, links):
        self.given = links


def seat(agent, address="host:1", **policy):
    return seat_pb2.Seat(agent=agent, addresses=[address], policy=policy_pb2.PolicyReference(**policy))


@pytest.fixture(autouse=True)
def minds(monkeypatch):
    monkeypatch.setattr(module, "RemoteMinds", Minds)


def playing(*seats, shop=None):
    return Played(shop or Shop(Link()), GAME, "game", seats or (seat("b"), seat("c")), 2.5)


def now(*awaited):
    awaited = np.array(awaited, bool)
    no = np.zeros_like(awaited)
    return Step([{}] * 3, {}, no.astype(float), no, no, awaited)


ALL = now(*[[True] * 3] * 3)


def test_what_services_are_told():
    shop, version = Shop(Link()), policy_pb2.PolicyVersion(epoch=2, step=3)
    one = playing(
        seat("c", "host:3", policy_id="wise", min_version=version), seat("a", "host:1", policy_id="quick"), shop=shop
    )
    assert one.numbers == (0, 2)
    specs, addresses, game, seed = shop.taken
    assert [(spec.index, spec.id, spec.policy.policy_id) for spec in specs] == [(0, "a", "quick"), (2, "c", "wise")]
    # A version is asked for with every frame, not in the hello, under which links are kept.
    assert not any(spec.policy.HasField("min_version") for spec in specs)
    assert addresses == {"a": ("host:1",), "c": ("host:3",)} and (game, seed) == ("game", 0)
    one.begin(9)
    links, ports, copies, block, timeout = Minds.made.arguments
    assert links == list(shop.links.values()) and (block, timeout) == (9, 2.5)
    assert copies.tolist() == [0, 1, 2] and copies.dtype == np.uint32
    assert [port.policy.policy_id for port in ports] == ["quick", "", "wise"]
    assert ports[2].policy.min_version == version and all(port.exploration is None for port in ports)
    asyncio.run(one.give_back())
    assert shop.given is shop.links


@pytest.mark.parametrize(
    ("agents", "reason", "words"),
    [
        (["ghost"], policy_pb2.REASON_UNKNOWN_AGENT, r"expected agents \['a', 'b', 'c'\], got 'ghost'"),
        (["a", "a"], policy_pb2.REASON_UNKNOWN_AGENT, "expected every agent once"),
        (["a", "b", "c"], policy_pb2.REASON_CONFIG, "an agent that the driver acts for"),
    ],
)
def test_seats_that_are_wrong(agents, reason, words):
    with pytest.raises(Refused, match=f"played: .*{words}") as caught:
        playing(*map(seat, agents))
    assert caught.value.reason == reason


def test_everybody_is_greeted_even_when_one_is_not_there():
    links = Link(), Link(Unavailable("host:9", "gone")), Link()
    with pytest.raises(Refused) as caught:
        asyncio.run(playing(shop=Shop(*links)).greet())
    assert (caught.value.reason, caught.value.field) == (policy_pb2.REASON_UNREACHABLE, "host:9")
    assert caught.value.retryable and caught.value.got == "gone"
    assert [link.opened for link in links] == [[2.5]] * 3
    asyncio.run(playing(shop=Shop(Link(), Link())).greet())


def test_a_refused_greeting_is_told_as_it_is():
    refusal = Refused(policy_pb2.REASON_UNKNOWN_POLICY, "agents[1].policy", "a policy", "none")
    with pytest.raises(Refused) as caught:
        asyncio.run(playing(shop=Shop(Link(), Link(refusal))).greet())
    assert caught.value is refusal


def test_only_played_agents_that_are_awaited_are_asked():
    one = playing()
    one.begin(1)
    step = now([True, True, False], [True, False, False], [True, True, False])
    actions = asyncio.run(one.act(step, IDLE))
    no = [False] * 3
    assert Minds.made.asked == [(0, [no, [True, False, True], no], [[], [0, 2], []])]
    assert list(actions) == [1] and actions[1][""].tolist() == [10, 7, 10]
    assert IDLE[1][""].tolist() == [7, 7, 7]


def test_who_has_answered_is_not_asked_again_until_the_game_has_taken_its_step():
    one = playing()
    one.begin(1)
    Minds.made.failing = {1: Refused(policy_pb2.REASON_DEADLINE, "x", "an answer", "none", retryable=True)}
    for _ in range(2):
        with pytest.raises(Refused, match=r"DEADLINE: b\.x: expected an answer") as caught:
            asyncio.run(one.act(ALL, IDLE))
        assert caught.value.retryable
    Minds.made.failing = {}
    actions = asyncio.run(one.act(ALL, IDLE))
    assert {i: action[""].tolist() for i, action in actions.items()} == {1: [10] * 3, 2: [20] * 3}
    rows = [asked[2] for asked in Minds.made.asked]
    assert rows == [[[], [0, 1, 2], [0, 1, 2]], [[], [0, 1, 2], []], [[], [0, 1, 2], []]]
    # A decision that failed does not count.
    assert Minds.made.withdrawn == [(1, [0, 1, 2])] * 2
    one.stepped()
    actions = asyncio.run(one.act(ALL, IDLE))
    assert [action[""].tolist() for action in actions.values()] == [[11] * 3, [21] * 3]


def test_of_several_failures_the_first_is_told_and_none_counts():
    one = playing()
    one.begin(1)
    wrong = Refused(policy_pb2.REASON_SHAPE, "action", "one", "two")
    Minds.made.failing = {1: Unavailable("host:1", "gone"), 2: wrong}
    with pytest.raises(Refused, match=r"UNREACHABLE: b: .*gone"):
        asyncio.run(one.act(ALL, IDLE))
    assert Minds.made.withdrawn == [(1, [0, 1, 2]), (2, [0, 1, 2])]


def test_new_episodes_ask_anew():
    one = playing()
    one.begin(1)
    asyncio.run(one.act(ALL, IDLE))
    one.stepped()
    asyncio.run(one.act(ALL, IDLE))
    one.begin_some(np.array([1]))
    first = Minds.made
    assert first.forgotten == [[1]]
    asyncio.run(one.act(ALL, IDLE))
    assert [asked[0] for asked in first.asked] == [0, 1, 1]
    one.begin(4)
    assert Minds.made is not first
    asyncio.run(one.act(ALL, IDLE))
    assert [asked[0] for asked in Minds.made.asked] == [0]
    assert Minds.made.asked[0][2] == [[], [0, 1, 2], [0, 1, 2]]
