"""A driver's stream: one answer a request, and a lease by a clock that the test moves."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from agora.v1 import environment_pb2 as pb, policy_pb2
from env_server.pool import Pool
from env_server.rollout.collect import Workshop
from env_server.sessions import connection as module
from env_server.sessions.connection import Connection

MATRIX = pb.EnvironmentSpec(name="matrix", config_json="{}", num_envs=2)
RENEW = pb.ConnectRequest(renew=pb.RenewLease())
RESET = pb.ConnectRequest(reset=pb.ResetEnvironment(seed=1))


def opening(lease=10, versions=(1,)):
    return pb.ConnectRequest(
        open=pb.OpenEnvironment(environment=MATRIX, protocol_versions=versions, lease_seconds=lease)
    )


class Clock:
    """Sleepers wake when the time that a test sets has come."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        names = {name: getattr(asyncio, name) for name in ("Queue", "QueueFull", "create_task", "gather")}
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**names, sleep=self.sleep))

    async def sleep(self, seconds):
        until = self.now + seconds
        while self.now < until:
            await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def workshop():
    with ThreadPoolExecutor(2) as workers:
        yield Workshop("tests", None, workers, Pool(4), Pool(4))


def talk(workshop, script):
    """Runs ``script(ask, answers)``: ask(request) is its answer, which it may want later."""

    async def run():
        said = asyncio.Queue()

        async def requests():
            while (request := await said.get()) is not None:
                yield request

        answers = Connection(workshop).answers(requests())

        async def ask(request, before=None):
            said.put_nowait(request)
            if before is not None:
                await before()
            return await anext(answers)

        await script(ask, answers)
        said.put_nowait(None)
        await answers.aclose()

    asyncio.run(asyncio.wait_for(run(), 100))
    assert workshop.sessions == 0


async def a_while():
    for _ in range(50):
        await asyncio.sleep(0)


def test_whoever_speaks_in_time_keeps_the_session_and_whoever_does_not_is_told(workshop, clock):
    async def script(ask, answers):
        assert (await ask(opening(lease=10))).HasField("opened")
        for request, kind in ((RENEW, "renewed"), (RESET, "transition"), (RENEW, "renewed")):
            clock.now += 9.0
            await a_while()
            assert workshop.sessions == 1
            assert (await ask(request)).WhichOneof("kind") == kind
        waiting = asyncio.ensure_future(anext(answers))
        clock.now += 9.75
        await a_while()
        assert workshop.sessions == 1 and not waiting.done()
        clock.now += 0.25
        refusal = (await waiting).refusal
        assert refusal.reason == policy_pb2.REASON_LEASE and "at least every 10 s" in refusal.message
        assert await anext(answers, "over") == "over" and workshop.sessions == 0

    talk(workshop, script)


def test_a_lease_is_told_and_is_a_minute_if_nothing_is_said_and_an_hour_at_most(workshop, clock):
    async def script(ask, answers):
        refused = (await ask(opening(lease=3601))).refusal
        assert refused.reason == policy_pb2.REASON_OUT_OF_BOUNDS and "at most 3600" in refused.message
        assert (await ask(opening(lease=0))).HasField("opened")
        assert (await ask(RENEW)).renewed.lease_seconds == 60

    talk(workshop, script)

    async def longest(ask, answers):
        assert (await ask(opening(lease=3600))).HasField("opened")
        assert (await ask(RENEW)).renewed.lease_seconds == 3600

    talk(workshop, longest)


def test_a_stream_that_never_opens_is_ended_as_well(workshop, clock):
    async def script(ask, answers):
        assert (await ask(RESET)).refusal.reason == policy_pb2.REASON_NOT_READY
        waiting = asyncio.ensure_future(anext(answers))
        clock.now += 60.0
        assert (await waiting).refusal.reason == policy_pb2.REASON_LEASE

    talk(workshop, script)


def test_who_is_refused_may_try_again_and_opens_once(workshop, clock):
    async def script(ask, answers):
        for request, reason in (
            (RENEW, policy_pb2.REASON_NOT_READY),
            (opening(versions=(2, 3)), policy_pb2.REASON_PROTOCOL_VERSION),
        ):
            assert (await ask(request)).refusal.reason == reason and workshop.sessions == 0
        assert (await ask(opening(versions=(3, 1)))).HasField("opened") and workshop.sessions == 1
        for request in (opening(), pb.ConnectRequest()):
            assert (await ask(request)).refusal.reason == policy_pb2.REASON_NOT_READY
        assert (await ask(RESET)).HasField("transition")

    talk(workshop, script)


def test_a_driver_that_is_done_gives_back_its_session(workshop, clock):
    async def script(ask, answers):
        await ask(opening())
        assert workshop.sessions == 1

    talk(workshop, script)
    assert workshop.environments.find(("matrix", "{}", 2)) is not None


def test_a_request_that_waited_for_its_turn_counts_when_it_is_answered(workshop, clock):
    """It was heard after 1 s, and is answered after 9 s: 10 s more are left from then on."""

    async def script(ask, answers):
        await ask(opening(lease=10))
        clock.now += 1.0

        async def later():
            await a_while()
            clock.now += 8.0

        assert (await ask(RENEW, later)).HasField("renewed")
        clock.now += 9.5
        await a_while()
        assert workshop.sessions == 1 and (await ask(RENEW)).HasField("renewed")

    talk(workshop, script)


@pytest.mark.parametrize(("microseconds", "seconds"), [(0, 5.0), (2_500_000, 2.5)])
def test_how_long_services_may_take(workshop, clock, monkeypatch, microseconds, seconds):
    told, really = [], module.Session.open

    async def keep(workshop, environment, played, timeout):
        told.append(timeout)
        return await really(workshop, environment, played, timeout)

    monkeypatch.setattr(module.Session, "open", keep)

    async def script(ask, answers):
        request = opening()
        request.open.deadline_us = microseconds
        assert (await ask(request)).HasField("opened")

    talk(workshop, script)
    assert told == [seconds]
