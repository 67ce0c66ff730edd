"""Processes that live as long as one command: what is started for whom, and what is told when one ends."""

from __future__ import annotations

import asyncio

import pytest

from deploy import services as module
from deploy.errors import EXIT_REFUSED, BadExperiment, ProcessFailed, ProcessRefused
from deploy.services import GRACE_SECONDS, Services, check_agents, seats_of


class Process:
    """Works after so many looks; ends with ``code`` when a test says so."""

    def __init__(self, world, command):
        self.command, self.exit_code, self.stops = command, None, []
        world.append(self)

    async def stop(self, grace):
        self.stops.append(grace)
        self.exit_code = self.exit_code or 0


@pytest.fixture
def started(monkeypatch):
    """The processes in the order of their start."""
    world = []
    monkeypatch.setattr(module, "Child", lambda command: Process(world, command))
    monkeypatch.setattr(module, "is_healthy", works)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.001)
    return world


async def works(address):
    return True


async def never(address):
    return False


def words(process):
    """The command line behind the address."""
    line = process.command.arguments
    place = line.index("--listen")
    return line[place - 1], line[place + 1], line[place + 2 :]


def test_seats_in_words():
    assert seats_of([]) == {}
    assert seats_of(["a=scripted:x", "b=host:1", "c=onnx:d=e"]) == {"a": "scripted:x", "b": "host:1", "c": "onnx:d=e"}
    for wrong in ("a", "a=", "=x", "="):
        with pytest.raises(BadExperiment, match=r"--seat: .*expected AGENT=POLICY or AGENT=HOST:PORT"):
            seats_of(["b=x", wrong])


def test_agents_that_do_not_play():
    check_agents("--seat", ["b", "a"], ["a", "b"])
    with pytest.raises(BadExperiment, match="--seat: ghost: expected one of a, b, got an unknown agent"):
        check_agents("--seat", ["a", "ghost"], ["a", "b"])


def test_every_policy_has_a_service_and_every_address_is_one(started):
    said = {
        "a": "scripted:random", "b": "host:1", "c": "unix:/x/y", "d": "lobby:me", "e": "onnx:models/e.onnx",
        "f": "onnx",
        "g": "scripted:fixed_price",
    }  # fmt: skip

    async def run():
        async with Services(lambda text: None) as services:
            return await services.seat(said)

    found = asyncio.run(run())
    assert {agent: found[agent] for agent in "bcd"} == {agent: said[agent] for agent in "bcd"} and set(found) == set(
        said
    )
    assert {process.command.name: words(process)[2] for process in started} == {
        "a": ("--policy", "scripted:random", "--policy-id", "a"),
        "e": ("--policy", "onnx", "--model", "models/e.onnx", "--policy-id", "e"),
        "f": ("--policy", "onnx", "--policy-id", "f"),
        "g": ("--policy", "scripted:fixed_price", "--policy-id", "g"),
    }
    for process in started:
        module_name, address, _ = words(process)
        assert module_name == "agent_services" and address == found[process.command.name] == process.command.address
        assert process.command.log.name == f"{process.command.name}.log" and process.stops == [GRACE_SECONDS]
    assert len(set(found.values())) == 7


def test_an_address_that_is_asked_for_is_taken(started):
    async def run():
        async with Services(lambda text: None) as services:
            return await services.start("env", "env_server", ["--x"], "host:7"), await services.start("two", "m", [])

    asked, free = asyncio.run(run())
    assert asked == "host:7" != free and words(started[0]) == ("env_server", "host:7", ("--x",))


@pytest.mark.parametrize(("code", "kind"), [(1, ProcessFailed), (EXIT_REFUSED, ProcessRefused), (0, ProcessFailed)])
def test_a_process_that_ends_instead_of_working_is_told_at_once(started, monkeypatch, code, kind):
    monkeypatch.setattr(module, "is_healthy", never)

    class Dies(Process):
        def __init__(self, world, command):
            super().__init__(world, command)
            self.exit_code = code

    monkeypatch.setattr(module, "Child", lambda command: Dies(started, command))

    async def run():
        async with Services(lambda text: None, start_seconds=3600.0) as services:
            await services.start("env", "env_server", [])

    with pytest.raises(kind, match=f"env: ended with exit code {code}") as caught:
        asyncio.run(run())
    assert type(caught.value) is kind


def test_a_process_that_takes_too_long_is_told_with_its_limit(started, monkeypatch):
    monkeypatch.setattr(module, "is_healthy", never)

    async def run():
        async with Services(lambda text: None, start_seconds=0.125) as services:
            await services.start("env", "env_server", [], "host:7")

    with pytest.raises(ProcessFailed, match=r"env: does not work at host:7 within 0\.125 s"):
        asyncio.run(run())
    assert started[0].stops == [GRACE_SECONDS]


@pytest.mark.parametrize("which", [0, 1])
def test_one_that_ends_is_noticed_and_all_end(started, which):
    async def run():
        async with Services(lambda text: None) as services:
            for name in ("one", "two"):
                await services.start(name, "m", [])
            watching = asyncio.create_task(services.watch())
            for _ in range(10):
                await asyncio.sleep(0.002)
            assert not watching.done()
            started[which].exit_code = 9
            await watching

    with pytest.raises(ProcessFailed, match=f"{('one', 'two')[which]}: ended with exit code 9"):
        asyncio.run(run())
    assert [process.stops for process in started] == [[GRACE_SECONDS]] * 2
