"""Sessions of drivers: agents that services play, leases, room for so many, and what is left behind."""

import os
import queue
import re
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest

from agora.channels import connect_blocking
from agora.clients.driver import Driver
from agora.codec import from_tensor, to_tensor
from agora.errors import Refused
from agora.v1 import environment_pb2 as pb, environment_pb2_grpc, policy_pb2, seat_pb2
from bench.processes import Service, free_address
from tests.support.models import counting_model
from tests.support.noughts import outcome

ROOT = Path(__file__).parents[2]
CHARGING = pb.EnvironmentSpec(name="charging", config_json='{"episode_rounds": 6}', num_envs=3)
SCML = {"days": 4, "levels": 2, "factories": 2, "workers": 1}
SPREAD = "pettingzoo:mpe2.simple_spread_v3?max_cycles=8"


@contextmanager
def environment_server(*arguments):
    """A server's address, and how many sessions it says are open."""
    port = free_address().rpartition(":")[2]
    with Service("env_server", ["--metrics-port", port, *arguments]) as service:

        def sessions():
            page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
            return float(re.search(r"^agora_sessions_open (\S+)", page, re.MULTILINE).group(1))

        yield service, sessions


@pytest.fixture(scope="module")
def serving():
    with environment_server() as (service, sessions):
        yield service, sessions


@pytest.fixture(scope="module")
def server(serving):
    return serving[0].address


@pytest.fixture(scope="module")
def randoms():
    with Service("agent_services", ["--policy", "scripted:random"]) as service:
        yield service.address


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """Starts services whose price is 0.15 × the number of their decision, which their policy's memory counts."""
    path = tmp_path_factory.mktemp("models") / "counting.onnx"
    path.write_bytes(counting_model(0.15))
    return lambda address=None: Service("agent_services", ["--model", str(path)], address)


def eventually(true, seconds=60):
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def opening(played=(), spec=CHARGING, **changes):
    seats = [seat_pb2.Seat(agent=agent, addresses=addresses) for agent, addresses in played]
    fields = {"environment": spec, "protocol_versions": [1], "played": seats, **changes}
    return pb.ConnectRequest(open=pb.OpenEnvironment(**fields))


def reset(seed=1, copies=()):
    packed = np.array(copies, "<u4").tobytes()
    return pb.ConnectRequest(reset=pb.ResetEnvironment(seed=seed, copies=packed))


def step(*actions):
    parts = [pb.StepEnvironment.AgentActions(action=[] if a is None else [to_tensor(a)]) for a in actions]
    return pb.ConnectRequest(step=pb.StepEnvironment(agents=parts))


def talk(server, said):
    with connect_blocking(server) as channel:
        return list(environment_pb2_grpc.EnvironmentServiceStub(channel).Connect(iter(said), timeout=60))


def middle(copies=3):
    return np.full((copies, 8), 0.5, np.float32)


def prices(shown):
    """What everybody has asked for last: (B, N, T)."""
    return shown.state[1]


@pytest.fixture
def drive():
    """Opens sessions, and closes them."""
    with ExitStack() as stack:
        yield lambda *what, **options: stack.enter_context(closing(Driver(*what, **options)))


ROUNDS = {"episode_rounds": 6}


def test_services_play_seated_agents_unseen_by_the_driver(server, counting):
    with counting() as service:
        said = [opening([("station_1", [service.address])]), reset(), *[step(middle(), None, middle(), middle())] * 6]
        opened, *answers = talk(server, said)
    assert [agent.id for agent in opened.opened.agents] == [f"station_{i}" for i in range(4)]
    for number, answer in enumerate(answers):
        shown, over = answer.transition, number == 6
        assert [len(view.observation) for view in shown.agents] == [2, 0, 2, 2]
        awaited, alive = from_tensor(shown.awaited), from_tensor(shown.alive)
        assert not awaited[:, 1].any() and (awaited[:, [0, 2, 3]] == (not over)).all()
        assert (alive == (not over)).all() and (from_tensor(shown.truncated) == over).all()
        if number:
            np.testing.assert_allclose(from_tensor(shown.state[1])[:, 1], 0.15 * number, rtol=1e-6)


def test_a_service_that_fails_costs_a_refusal_and_nothing_else(server, counting, drive):
    """Of two services one is gone: the other has answered, and is not asked twice for the same decision."""
    with counting() as steady:
        victim = counting().start()
        seats = {"station_1": victim.address, "station_2": steady.address}
        driver = drive(server, "charging", ROUNDS, seats, num_envs=3, deadline=5.0)
        actions = {agent: [middle()] for agent in driver.agents}
        driver.reset(1)
        driver.step(actions)
        victim.kill()
        for _ in range(2):
            with pytest.raises(Refused) as caught:
                driver.step(actions)
            assert caught.value.retryable and "station_1" in caught.value.field
        with counting(victim.address):
            for number in range(2, 7):
                shown = patiently(driver, actions)
                np.testing.assert_allclose(prices(shown)[:, 1:3], 0.15 * number, rtol=1e-6)
        assert shown.truncated.all()


def patiently(driver, actions, seconds=60.0):
    """A step that is asked for again while it is refused for now: a busy machine may be late to greet a service."""
    until = time.monotonic() + seconds
    while True:
        try:
            return driver.step(actions)
        except Refused as refused:
            if not refused.retryable or time.monotonic() > until:
                raise


def test_play_is_a_function_of_the_seed_of_the_reset(server, randoms, drive):
    runs = []
    for seeds in ((7, 8), (8, 7)):
        driver = drive(server, "charging", ROUNDS, {"*": randoms}, agent="station_0", num_envs=3)
        runs.append({})
        for seed in seeds:
            driver.reset(seed)
            runs[-1][seed] = np.stack([prices(driver.step({"station_0": [middle()]})) for _ in range(6)])
    assert np.array_equal(runs[0][7], runs[1][7]) and np.array_equal(runs[0][8], runs[1][8])
    assert (runs[0][7][:, :, 1:] != runs[0][8][:, :, 1:]).mean() > 0.99


def test_steps_that_need_nobody_of_the_driver_are_taken_without_it(server, randoms, drive):
    """Noughts and crosses, the driver second: a step is two moves, and its rewards are those of both."""
    driver = drive(server, "pettingzoo:pettingzoo.classic.tictactoe_v3", None, {"player_1": randoms})
    earned = set()
    for seed in range(12):
        shown, total = driver.reset(seed), 0.0
        moves = 1
        while shown.awaited.any():
            assert driver.agents == ["player_2"] and sum(array.sum() for array in shown.observations[0][:1]) > 0
            legal = np.flatnonzero(shown.masks[0][0][0])
            assert len(legal) == 9 - moves
            shown = driver.step({"player_2": [legal[:1].astype(np.int64)]})
            total, moves = total + shown.rewards[0, 0], moves + 2
        assert total == outcome(shown.observations[0][-1][0]) and shown.terminated.all() and not shown.alive.any()
        earned.add(total)
    assert {-1.0, 1.0} <= earned


def test_some_copies_start_alone_where_the_game_can(server, drive):
    driver = drive(server, SPREAD, None, None, num_envs=2)
    whole = driver.reset(9)
    still = {agent: [np.zeros(2, np.int64)] for agent in driver.agents}
    driver.reset(5)
    before = driver.step(still)
    some = driver.reset(9, np.array([1]))
    for mixed, old, new in zip(some.observations, before.observations, whole.observations, strict=True):
        assert np.array_equal(mixed[0][0], old[0][0]) and np.array_equal(mixed[0][1], new[0][1])
    assert not some.rewards.any()
    ends = [driver.step(still).truncated for _ in range(8)]
    assert ends[6][0].all() and not ends[6][1].any() and ends[7][1].all()
    for copies, words in (([2], "below 2"), ([1, 0, 1], "rising")):
        with pytest.raises(Refused, match=words):
            driver.reset(9, np.array(copies))
    refusal = talk(server, [opening(), reset(), reset(1, [0, 2])])[-1].refusal
    assert refusal.reason == policy_pb2.REASON_UNSUPPORTED


BAD = [
    ({"played": [("ghost", ["x"])]}, policy_pb2.REASON_UNKNOWN_AGENT, "'ghost'"),
    ({"played": [("station_0", ["x"])] * 2}, policy_pb2.REASON_UNKNOWN_AGENT, "once"),
    ({"played": [("station_0", [])]}, policy_pb2.REASON_UNREACHABLE, "one or more"),
    ({"played": [(f"station_{i}", ["x"]) for i in range(4)]}, policy_pb2.REASON_CONFIG, "the driver acts for"),
    ({"lease_seconds": 3601}, policy_pb2.REASON_OUT_OF_BOUNDS, "3600"),
    (
        {"played": [("station_0", ["127.0.0.1:1"])], "deadline_us": 200_000},
        policy_pb2.REASON_UNREACHABLE,
        "127.0.0.1:1",
    ),
]


@pytest.mark.parametrize(("changes", "reason", "words"), BAD, ids=lambda value: str(value)[:40])
def test_wrong_openings_are_refused_and_another_may_follow(serving, changes, reason, words):
    service, sessions = serving
    renew = pb.ConnectRequest(renew=pb.RenewLease())
    refused, early, opened, renewed = talk(service.address, [opening(**changes), renew, opening(), renew])
    assert refused.refusal.reason == reason and words in refused.refusal.message
    assert early.refusal.reason == policy_pb2.REASON_NOT_READY
    assert opened.opened.agents and renewed.renewed.lease_seconds == 60
    eventually(lambda: sessions() == 0)


def test_actions_for_played_agents_and_missing_ones_are_refused(server, randoms):
    said = [opening([("station_1", [randoms])]), reset()]
    said += [step(*[middle()] * 4), step(None, None, middle(), middle()), step(middle(), None, middle(), middle())]
    *_, doubled, missing, good = talk(server, said)
    assert "agents[1].action" in doubled.refusal.field and "a service plays it" in doubled.refusal.message
    assert "agents[0].action" in missing.refusal.field and good.HasField("transition")


def test_who_says_nothing_loses_the_session(serving):
    service, sessions = serving
    with connect_blocking(service.address) as channel:
        said = queue.SimpleQueue()
        said.put(opening(lease_seconds=1))
        answers = environment_pb2_grpc.EnvironmentServiceStub(channel).Connect(iter(said.get, None), timeout=60)
        assert next(answers).HasField("opened") and sessions() == 1
        assert next(answers).refusal.reason == policy_pb2.REASON_LEASE
        assert next(answers, None) is None
        said.put(None)
    eventually(lambda: sessions() == 0)


CLIENT = """
import sys, time
from agora.clients import parallel_env
env = parallel_env(sys.argv[1], lease=4)
env.reset(seed=1)
print("open", flush=True)
for line in sys.stdin:
    try:
        env.reset(seed=1)
        print("reset", flush=True)
    except Exception as error:
        print(error, flush=True)
"""


@contextmanager
def client(address):
    command = [sys.executable, "-c", CLIENT, address]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def ask(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_a_client_renews_its_lease_until_it_is_frozen_or_killed(serving):
    """When the lease of who was heard later has ended, that of who was heard before it would have."""
    service, sessions = serving
    with client(service.address) as silent, client(service.address) as frozen:
        assert sessions() == 2 and ask(frozen) == "reset\n"
        frozen.send_signal(signal.SIGSTOP)
        eventually(lambda: sessions() == 1)
        assert ask(silent) == "reset\n"
        silent.kill()
        eventually(lambda: sessions() == 0)
        frozen.send_signal(signal.SIGCONT)
        assert ask(frozen).startswith(("LEASE: session", service.address))


def test_a_full_server_says_so_and_has_room_again_when_somebody_leaves(drive):
    with environment_server("--max-sessions", "2") as (service, sessions):
        drivers = [drive(service.address, "charging", None, None) for _ in range(2)]
        with pytest.raises(Refused) as caught:
            drive(service.address, "charging", None, None)
        assert caught.value.reason == policy_pb2.REASON_CAPACITY and caught.value.retryable
        assert "2 open" in caught.value.got and sessions() == 2
        drivers.pop().close()
        eventually(lambda: sessions() == 1)
        drivers.append(drive(service.address, "charging", None, None))
        drivers[1].reset(1)


def workers(service):
    return {child.pid for child in psutil.Process(service.process.pid).children(recursive=True)}


def test_games_in_other_processes_are_used_again_and_ended_when_they_failed(randoms, drive):
    with environment_server() as (service, sessions):
        seen = set()
        for seed in range(3):
            driver = drive(service.address, "scml", SCML, {f"factory_{i}": randoms for i in range(1, 4)})
            shown = driver.reset(seed)
            assert shown.awaited.tolist() == [[True]] and driver.agents == ["factory_0"]
            seen |= workers(service)
            driver.close()
            eventually(lambda: sessions() == 0)
        assert workers(service) == seen and len(seen) >= 1
        driver = drive(service.address, "scml", SCML, None)
        shown = driver.reset(0)
        for pid in workers(service):
            psutil.Process(pid).kill()
        agent = driver.agents[int(shown.awaited[0].argmax())]
        silent = [np.zeros((1, *leaf.shape), leaf.dtype) for leaf in driver.action_leaves[agent]]
        with pytest.raises(Refused) as caught:
            driver.step({agent: silent})
        assert caught.value.retryable
        with pytest.raises(Refused, match="a reset"):
            driver.step({agent: silent})
        assert driver.reset(0).awaited.any()
        driver.close()
        eventually(lambda: sessions() == 0 and not workers(service))
