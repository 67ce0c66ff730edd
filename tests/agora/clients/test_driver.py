"""The wire side of a session, at a server that answers as the test says."""

import gc
import json
import os
import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from gymnasium import spaces

from agora.clients.driver import Driver, _requests, _Wires
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused, Unavailable
from agora.spaces import to_proto
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2, tensor_pb2

AGENTS = ("a", "b", "c")
SEEN, DONE = spaces.Box(0, 99, (2,), np.int32), spaces.Discrete(9)


def described():
    told = pb.DescribeEnvironmentResponse(state_space=to_proto(spaces.Discrete(50)))
    for index, agent in enumerate(AGENTS):
        told.agents.add(index=index, id=agent, observation_space=to_proto(SEEN), action_space=to_proto(DONE))
    return told


def transition(number, copies=2):
    """Tables tell the agent by their column: rewards are 1, 10, 100 x (number + copy)."""
    rows = np.arange(copies)
    told = pb.Transition(state=[to_tensor(np.full(copies, number))])
    for index in range(len(AGENTS)):
        seen = to_tensor(np.stack([rows, np.full(copies, 10 * index + number)], axis=1).astype(np.int32))
        mask = [to_tensor(np.full((copies, 9), index == 2, np.uint8))] if index else []
        told.agents.add(observation=[seen], action_mask=mask or [tensor_pb2.Tensor()])
    told.rewards.CopyFrom(to_tensor(np.outer(number + rows, [1.0, 10.0, 100.0])))
    for name, column in (("terminated", 0), ("truncated", 1), ("awaited", 2)):
        getattr(told, name).CopyFrom(to_tensor(np.arange(3)[None, :].repeat(copies, 0) == column))
    told.alive.CopyFrom(to_tensor(np.arange(3)[None, :].repeat(copies, 0) != 0))
    return pb.ConnectResponse(transition=told)


def refusal(reason=policy_pb2.REASON_SHAPE):
    return pb.ConnectResponse(refusal=policy_pb2.Refusal(reason=reason, field="x", expected="y", got="z"))


class Server(environment_pb2_grpc.EnvironmentServiceServicer):
    """Answers the script's next for everything but openings and renewals, and keeps what it was told."""

    def __init__(self):
        self.said, self.script, self.described = [], [], []
        self.renewed, self.ended, self.hold = threading.Event(), threading.Event(), threading.Event()
        self.hold.set()
        self.opened = pb.ConnectResponse(opened=described())

    def DescribeEnvironment(self, request, context):
        self.hold.wait(60)
        self.described.append(request.environment.name)
        return described()

    def Connect(self, requests, context):
        context.add_callback(self.ended.set)
        for request in requests:
            kind = request.WhichOneof("kind")
            if kind == "renew":
                self.renewed.set()
                yield pb.ConnectResponse(renewed=pb.LeaseRenewed(lease_seconds=1))
                continue
            self.said.append(request)
            if kind == "open":
                yield self.opened
            elif (answer := self.script.pop(0)) is None:
                return
            elif answer != "silence":
                yield answer


@pytest.fixture
def serving():
    server, grpc_server = Server(), grpc.server(ThreadPoolExecutor(8))
    environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(server, grpc_server)
    server.address = f"127.0.0.1:{grpc_server.add_insecure_port('127.0.0.1:0')}"
    grpc_server.start()
    server.stop = lambda: grpc_server.stop(0).wait()
    yield server
    server.stop()


@pytest.fixture
def drive(serving):
    opened = []

    def start(seats=None, **options):
        opened.append(Driver(serving.address, "game", {"size": 3}, seats, **{"num_envs": 2, **options}))
        return opened[-1]

    yield start
    for driver in opened:
        driver.close()


@pytest.fixture
def closed(monkeypatch):
    """Wires that were closed; who is refused holds the error, and with it the driver, so that nobody forgets that."""
    found, close = [], _Wires.close
    monkeypatch.setattr(_Wires, "close", lambda wires: (found.append(wires), close(wires)))
    return found


def test_what_is_said_to_open_a_session(serving, drive):
    driver = drive({"b": "host:1", "c": ["host:2", "host:3"]}, deadline=2.5, lease=7)
    said = serving.said[0].open
    assert (said.environment.name, said.environment.num_envs) == ("game", 2)
    assert json.loads(said.environment.config_json) == {"size": 3}
    assert list(said.protocol_versions) == [1] and (said.deadline_us, said.lease_seconds) == (2_500_000, 7)
    assert {seat.agent: list(seat.addresses) for seat in said.played} == {"b": ["host:1"], "c": ["host:2", "host:3"]}
    assert driver.agents == ["a"] and driver.name == "game" and driver.num_envs == 2
    assert driver.observation_spaces == {"a": SEEN} and driver.action_spaces == {"a": DONE}
    assert [leaf.path for leaf in driver.action_leaves["a"]] == [""] and driver.state_space == spaces.Discrete(50)
    # Nobody needs to be asked who plays.
    assert serving.described == []


@pytest.mark.parametrize(
    ("seats", "agent", "played", "driven"),
    [
        ({"*": "x"}, "b", {"a": ["x"], "c": ["x"]}, ["b"]),
        ({"*": ["x", "y"], "c": "z"}, "b", {"a": ["x", "y"], "c": ["z"]}, ["b"]),
        ({"a": "x", "c": "z"}, "b", {"a": ["x"], "c": ["z"]}, ["b"]),
        ({"*": "x"}, None, {"a": ["x"], "b": ["x"], "c": ["x"]}, []),
        ({}, None, {}, ["a", "b", "c"]),
    ],
)
def test_seats(serving, drive, seats, agent, played, driven):
    driver = drive(seats, agent=agent)
    assert {seat.agent: list(seat.addresses) for seat in serving.said[0].open.played} == played
    assert driver.agents == driven and serving.described == (["game"] if seats else [])


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"timeout": float("inf")}, "timeout", "expected seconds, 0.001 to 86,400, got inf"),
        ({"timeout": "5"}, "timeout", "got '5'"),
        ({"deadline": float("nan")}, "deadline", "got nan"),
        ({"deadline": 0}, "deadline", "got 0"),
        ({"lease": -1}, "lease", "got -1"),
        ({"num_envs": 2.5}, "num_envs", "expected a whole number from 1 on, got 2.5"),
        ({"num_envs": 10**12}, "num_envs", "got 1000000000000"),
        ({"num_envs": -1}, "num_envs", "got -1"),
        ({"config": [1]}, "config", "expected a mapping, got [1]"),
        ({"config": {"a": object()}}, "config", "expected what JSON can say, got Object of type object"),
        ({"config": {"a": float("nan")}}, "config", "expected what JSON can say"),
        ({"seats": "127.0.0.1:1"}, "seats", "expected a mapping of agents to addresses, got '127.0.0.1:1'"),
        ({"seats": {"a": 7}}, "seats.a", "expected an address or several, got 7"),
        ({"seats": {"a": []}}, "seats.a", "expected an address or several, got []"),
        ({"address": 7110}, "address", "expected HOST:PORT, [IPV6]:PORT or unix:PATH, got 7110"),
        ({"address": "localhost"}, "address", "got 'localhost'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_leaves_nothing_open(serving, given, field, words):
    before = threading.active_count()
    with pytest.raises(Refused) as caught:
        Driver(**{"address": serving.address, "environment": "game", "config": None, "seats": None, **given})
    assert caught.value.field == field and words in str(caught.value)
    assert threading.active_count() == before and serving.said == []


def test_how_long_was_waited_for_a_description_is_told(serving):
    serving.hold.clear()
    with pytest.raises(Unavailable, match=r"no description of game within 0.2 s"):
        Driver(serving.address, "game", None, None, agent="a", timeout=0.2)
    serving.hold.set()


@pytest.mark.parametrize(
    ("seats", "agent", "field", "words"),
    [
        ({"*": "x"}, "ghost", "agent", "expected one of ['a', 'b', 'c'], got 'ghost'"),
        ({"a": "x", "*": "y"}, "a", "seats.a", "nobody: the driver is this agent"),
        ({"c": "x"}, "a", "seats", "expected seats for ['b'], or for \"*\", got ['c']"),
    ],
)
def test_seats_that_are_wrong(serving, drive, closed, seats, agent, field, words):
    with pytest.raises(Refused) as caught:
        drive(seats, agent=agent)
    assert len(closed) == 1 and not serving.said
    assert caught.value.field == field and words in str(caught.value)


def test_an_opening_that_is_refused_ends_the_stream(serving, drive, closed):
    serving.opened = refusal(policy_pb2.REASON_CAPACITY)
    with pytest.raises(Refused) as caught:
        drive()
    assert len(closed) == 1 and serving.ended.wait(60)
    assert caught.value.reason == policy_pb2.REASON_CAPACITY


def test_columns_are_those_of_the_driven_agents(serving, drive):
    driver = drive({"b": "host:1"})
    serving.script = [transition(1)]
    shown = driver.reset(5)
    assert serving.said[1].reset.seed == 5 and serving.said[1].reset.copies == b""
    assert driver.agents == ["a", "c"]
    assert [leaves[0].tolist() for leaves in shown.observations] == [[[0, 1], [1, 1]], [[0, 21], [1, 21]]]
    assert shown.masks[0] == [None] and shown.masks[1][0].tolist() == [[1] * 9] * 2
    assert shown.rewards.tolist() == [[1.0, 100.0], [2.0, 200.0]] and shown.state[0].tolist() == [1, 1]
    assert shown.terminated.tolist() == [[True, False]] * 2 and not shown.truncated.any()
    assert shown.awaited.tolist() == shown.alive.tolist() == [[False, True]] * 2


def test_actions_go_where_their_agents_are(serving, drive):
    driver = drive({"b": "host:1"})
    serving.script = [transition(0), transition(1), transition(2)]
    driver.reset(5)
    driver.step({"c": [np.array([7, 8])], "a": [np.array([1, 2])]})
    driver.step({"c": [np.array([3, 4])]})
    first, second = ([list(part.action) for part in said.step.agents] for said in serving.said[2:])
    assert [[from_tensor(leaf).tolist() for leaf in part] for part in first] == [[[1, 2]], [], [[7, 8]]]
    assert [[from_tensor(leaf).tolist() for leaf in part] for part in second] == [[], [], [[3, 4]]]


def test_what_is_earned_before_the_first_decision_is_paid_with_the_first_step(serving, drive):
    driver = drive()
    serving.script = [transition(3), transition(1), transition(1), transition(0), transition(1)]
    assert driver.reset(5).rewards[0].tolist() == [3.0, 30.0, 300.0]
    assert driver.step({}).rewards.tolist() == [[4.0, 40.0, 400.0], [6.0, 60.0, 600.0]]
    assert driver.step({}).rewards[0].tolist() == [1.0, 10.0, 100.0]
    driver.reset(6)
    assert driver.step({}).rewards.tolist() == [[1.0, 10.0, 100.0], [3.0, 30.0, 300.0]]


def test_seeds_and_copies(serving, drive):
    driver = drive()
    serving.script = [transition(0)] * 3
    for seed in (-1, 2**63):
        with pytest.raises(Refused, match="OUT_OF_BOUNDS: seed"):
            driver.reset(seed)
    driver.reset(0)
    driver.reset(2**63 - 1)
    driver.reset(1, np.array([1, 258]))
    assert [said.reset.seed for said in serving.said[1:]] == [0, 2**63 - 1, 1]
    assert serving.said[-1].reset.copies == bytes([1, 0, 0, 0, 2, 1, 0, 0])


def test_a_refusal_is_told_and_the_session_goes_on(serving, drive):
    driver = drive()
    serving.script = [refusal(), transition(0)]
    with pytest.raises(Refused, match="SHAPE: x: expected y, got z"):
        driver.reset(1)
    assert driver.reset(1).state[0].tolist() == [0, 0] and not serving.ended.is_set()


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (refusal(policy_pb2.REASON_LEASE), Refused, "LEASE: x"),
        (None, Unavailable, "closed the stream"),
        ("silence", Unavailable, "no answer within 0.25 s"),
    ],
)
def test_what_ends_a_session_is_told_again_and_again(serving, drive, answer, error, words):
    driver = drive(timeout=60.0 if answer != "silence" else 0.25)
    serving.script = [answer]
    for _ in range(2):
        with pytest.raises(error, match=words):
            driver.reset(1)
    assert serving.ended.wait(60) and len(serving.said) == 2


def test_a_server_that_goes_away(serving, drive):
    driver = drive()
    serving.stop()
    for _ in range(2):
        with pytest.raises(Unavailable, match=serving.address):
            driver.reset(1)


def test_a_lease_is_renewed_while_nobody_says_anything_and_nobody_hears_of_it(serving, drive):
    driver = drive(lease=1)
    assert serving.renewed.wait(60)
    serving.script = [transition(4)]
    assert driver.reset(1).state[0].tolist() == [4, 4]


def test_silence_renews_what_is_open_and_nothing_before():
    """Nothing is said for five intervals; after the third the session is open."""
    opening, reset = pb.ConnectRequest(open=pb.OpenEnvironment()), pb.ConnectRequest(reset=pb.ResetEnvironment(seed=7))
    renewing, threads, waits = threading.Event(), [], []
    said = iter([None, None, opening, None, None, None, reset, "over"])

    class Outbox:
        def get(self, timeout):
            waits.append(timeout)
            if len(waits) == 5:
                renewing.set()
            if (what := next(said)) is None:
                raise queue.Empty
            return None if what == "over" else what

    kinds = [request.WhichOneof("kind") for request in _requests(Outbox(), renewing, 20.0, threads)]
    assert kinds == ["open", "renew", "renew", "reset"]
    assert waits == [20.0] * 8 and threads == [threading.current_thread()]


def test_closing_ends_the_stream_and_its_threads_once(serving, drive):
    before = set(threading.enumerate())
    driver = drive()
    wires = driver._wires
    assert not serving.ended.is_set() and not wires._ended.is_set()
    driver.close()
    driver.close()
    # Its own threads have ended when it is closed: one of them is gRPC's.
    assert (
        wires._ended.is_set() and len(wires._threads) == 3 and not any(map(threading.Thread.is_alive, wires._threads))
    )
    assert serving.ended.wait(60)
    ours = [thread for thread in set(threading.enumerate()) - before if "ThreadPoolExecutor" not in thread.name]
    assert not ours
    with pytest.raises(Unavailable, match="the client was closed"):
        driver.reset(1)


def test_a_driver_that_is_forgotten_ends_its_session(serving):
    Driver(serving.address, "game", None, None)
    gc.collect()
    assert serving.ended.wait(60)


def test_a_forked_child_has_no_say_in_its_parents_session(serving, drive):
    driver = drive()
    child = os.fork()
    if not child:
        try:
            driver.reset(1)
        except Unavailable as error:
            told = "another process's" in str(error)
        driver.close()
        os._exit(0 if told and driver._wires._end is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    serving.script = [transition(4)]
    assert driver.reset(1).state[0].tolist() == [4, 4] and not serving.ended.is_set()
