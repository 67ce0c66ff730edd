"""When a supervisor looks, waits, starts again and gives up: on the test's own clock, with lives that it wrote."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import supervisor as module
from deploy.errors import EXIT_DISK, EXIT_HOPELESS, EXIT_REFUSED, ProcessFailed, ProcessRefused
from deploy.processes import Command
from deploy.supervisor import Patience, Supervisor

POLL = 1 / 16
EVER = float("inf")


class World:
    """Time, and processes that live as they were written: (works from, works until, ends at, exit code), in seconds."""

    def __init__(self, monkeypatch, *lives):
        self.now, self.lives, self.children, self.sleeps, self.looks = 0.0, list(lives), [], [], []
        monkeypatch.setattr(module, "Child", self.child)
        monkeypatch.setattr(module, "is_healthy", self.is_healthy)
        monkeypatch.setattr(module, "POLL_SECONDS", POLL)
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(Event=asyncio.Event, sleep=self.sleep))

    def child(self, command):
        self.children.append(Life(self, self.lives.pop(0)))
        return self.children[-1]

    async def is_healthy(self, address):
        assert address == "host:1"
        self.looks.append(self.now)
        return self.children[-1].works

    async def sleep(self, seconds):
        self.now += seconds
        if seconds != POLL:
            self.sleeps.append(seconds)
        await asyncio.sleep(0)


class Life:
    def __init__(self, world, life):
        self.world, (self.works_from, self.works_until, self.ends, self.code) = world, life
        self.started, self.pid, self.killed, self.stops = world.now, 100 + len(world.children), None, []

    @property
    def uptime(self):
        return self.world.now - self.started

    @property
    def works(self):
        return self.works_from <= self.uptime < self.works_until

    @property
    def exit_code(self):
        return self.killed if self.killed is not None else self.code if self.uptime >= self.ends else None

    async def stop(self, grace):
        self.stops.append(grace)
        if self.exit_code is None:
            self.killed = -15

    def signal(self, number):
        self.killed = -number


def supervised(patience, notes=None, **changes):
    command = Command("x", ("x",), Path("/no/x.log"), "host:1", **{"hang_seconds": 3.0, **changes})
    return Supervisor(command, patience, (notes if notes is not None else []).append)


def failing(one, kind=ProcessFailed):
    with pytest.raises(kind) as caught:
        asyncio.run(one.run())
    return str(caught.value).splitlines()[0]


DIES = (0.0, EVER, 1.0, 7)
"""Works at once, and ends after a second."""
CALM = Patience(start_seconds=20.0, check_seconds=1.0, quick_deaths=99, restarts=99)


def test_what_does_not_work_in_time_is_ended_at_once(monkeypatch):
    world = World(monkeypatch, (EVER, EVER, EVER, 0))
    one = supervised(CALM)
    assert "not ready within 20 s" in failing(one)
    assert world.children[0].stops == [0, CALM.grace_seconds] and one.restarts == 0 and one.pid is None
    # It had all of its time, and was looked at in every moment of it.
    assert world.now == 20.0 + POLL and world.looks == [POLL * n for n in range(321 + 1)]


def test_what_works_is_looked_at_less_often_and_ended_when_it_hangs(monkeypatch):
    world = World(monkeypatch, (2.0, 5.5, EVER, 0), (0.0, EVER, 1.0, 0))
    notes = []
    one = supervised(CALM, notes, job=True)
    asyncio.run(one.run())
    first = world.children[0]
    assert first.stops == [0] and first.killed == -15
    until_it_works = [POLL * n for n in range(33)]
    assert world.looks[: 33 + 6] == [*until_it_works, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    # It worked at 5 s for the last time.
    assert notes == [
        "x started pid=100", "x ready", "x did not work for 3 s", "x started pid=101", "x ready", "x done",
    ]  # fmt: skip
    assert world.children[1].started == 5.0 + 3.0 + POLL + 0.1 and one.state == "done" and one.restarts == 1


def test_states_and_numbers(monkeypatch):
    world = World(monkeypatch, (1.0, EVER, 3.0, 7), (1.0, EVER, EVER, 0))
    one = supervised(CALM)
    assert (one.state, one.pid, one.ready.is_set()) == ("waiting", None, False)
    seen = []

    async def run():
        task = asyncio.create_task(one.run())
        while world.now < 6.0:
            await asyncio.sleep(0)
            if not seen or seen[-1] != (one.state, one.pid, one.ready.is_set()):
                seen.append((one.state, one.pid, one.ready.is_set()))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert list(dict.fromkeys(state for state, *_ in seen)) == ["starting", "ready", "restarting"]
    assert seen[0] == ("starting", 100, False) and seen[1] == ("ready", 100, True) and seen[-1] == ("ready", 101, True)
    assert ("restarting", None, False) in seen and ("restarting", 101, False) in seen
    assert (one.state, one.pid) == ("stopped", None) and world.children[1].stops == [CALM.grace_seconds]


def test_pauses_double_with_every_quick_death_up_to_the_longest(monkeypatch):
    world = World(monkeypatch, *[DIES] * 5)
    patience = Patience(quick_deaths=5, backoff_seconds=0.5, max_backoff_seconds=3.0)
    assert "ended with exit code 7; given up after 4 restarts" in failing(supervised(patience))
    assert world.sleeps == [0.5, 1.0, 2.0, 3.0]


def test_a_long_life_is_no_quick_death_and_ends_a_row_of_them(monkeypatch):
    long, short = (0.0, EVER, 10.0, 7), (0.0, EVER, 10.0 - POLL, 7)
    world = World(monkeypatch, short, short, long, short, short, long, short, short, short)
    patience = Patience(quick_seconds=10.0, quick_deaths=3, backoff_seconds=0.5)
    assert "given up after 8 restarts" in failing(supervised(patience))
    assert world.sleeps == [0.5, 1.0, 0.5, 0.5, 1.0, 0.5, 0.5, 1.0]


def test_a_life_that_never_worked_is_a_quick_death_however_long(monkeypatch):
    world = World(monkeypatch, DIES, *[(EVER, EVER, 19.0, 7)] * 2)
    patience = Patience(start_seconds=20.0, quick_seconds=10.0, quick_deaths=3)
    assert "ended with exit code 7; given up after 2 restarts" in failing(supervised(patience))
    assert not world.lives


def test_who_has_worked_once_may_be_late_another_time(monkeypatch):
    World(monkeypatch, DIES, (EVER, EVER, EVER, 0), (0.0, EVER, 1.0, 0))
    notes = []
    asyncio.run(supervised(Patience(start_seconds=20.0), notes, job=True).run())
    assert "x not ready within 20 s" in notes and notes[-1] == "x done"


@pytest.mark.parametrize(("window", "given_up"), [(62.0, True), (62.0 - POLL, False)])
def test_only_deaths_within_the_window_count(monkeypatch, window, given_up):
    """Deaths at 20, 51 and 82 s: lives of 30 s and pauses of one."""
    lives = [(0.0, EVER, 20.0, 7), *[(0.0, EVER, 30.0, 7)] * 2]
    World(monkeypatch, *lives, (0.0, EVER, 1.0, 0))
    patience = Patience(restarts=2, window_seconds=window, quick_deaths=99, quick_seconds=1.0, backoff_seconds=1.0)
    one = supervised(patience, job=True)
    if given_up:
        assert "given up after 2 restarts" in failing(one)
    else:
        asyncio.run(one.run())
        assert one.restarts == 3


@pytest.mark.parametrize("job", [False, True])
@pytest.mark.parametrize("worked", [False, True])
def test_what_exit_codes_mean(monkeypatch, job, worked):
    def lived(code):
        World(monkeypatch, (0.0 if worked else EVER, EVER, 1.0, code), (0.0, EVER, 1.0, EXIT_DISK))
        one = supervised(CALM, job=job)
        return failing(one, (ProcessFailed, ProcessRefused)), one.restarts

    told, restarts = lived(EXIT_REFUSED)
    assert ("refused its settings" in told) == (restarts == 0) == (job or not worked)
    told, restarts = lived(EXIT_HOPELESS)
    assert ("would fail in the same way again" in told) == (restarts == 0) == job
    told, restarts = lived(EXIT_DISK)
    assert "cannot write to its disk" in told and restarts == 0
    told, restarts = lived(1)
    assert "cannot write to its disk" in told and restarts == 1


def test_refusals_are_of_their_own_kind(monkeypatch):
    World(monkeypatch, (EVER, EVER, 1.0, EXIT_REFUSED))
    failing(supervised(CALM), ProcessRefused)


def test_a_kill_is_told_by_its_signal(monkeypatch):
    World(monkeypatch, (0.0, EVER, 1.0, -signal.SIGSEGV), (0.0, EVER, 1.0, 0))
    notes = []
    asyncio.run(supervised(CALM, notes, job=True).run())
    assert notes[2] == "x killed by SIGSEGV"


def test_kill_is_sigkill_and_before_a_start_nothing(monkeypatch):
    world = World(monkeypatch, (0.0, EVER, EVER, 0), (0.0, EVER, 1.0, 0))
    notes = []
    one = supervised(CALM, notes, job=True)
    one.kill()

    async def run():
        task = asyncio.create_task(one.run())
        while not one.ready.is_set():
            await asyncio.sleep(0)
        one.kill()
        await task

    asyncio.run(run())
    assert world.children[0].killed == -signal.SIGKILL and "x killed by SIGKILL" in notes


def test_what_is_given_up_if_nothing_else_is_said(monkeypatch):
    """Six quick deaths in a row, or thirteen deaths within ten minutes."""
    world = World(monkeypatch, *[DIES] * 6)
    assert "given up after 5 restarts" in failing(supervised(Patience()))
    assert world.sleeps == [0.1, 0.2, 0.4, 0.8, 1.6]
    world = World(monkeypatch, *[(0.0, EVER, 10.0, 7)] * 13)
    assert "given up after 12 restarts" in failing(supervised(Patience()))
    assert world.sleeps == [0.1] * 12 and world.children[-1].stops == [4.3]


def test_a_server_that_ends_without_a_failure_is_started_again(monkeypatch):
    World(monkeypatch, *[(0.0, EVER, 1.0, 0)] * 6)
    assert "ended with exit code 0; given up after 5 restarts" in failing(supervised(Patience()))
