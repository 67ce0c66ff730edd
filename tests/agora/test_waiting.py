"""What takes longer than a moment is said, and said again at longer and longer intervals."""

import asyncio
from types import SimpleNamespace

import pytest

from agora import waiting as module
from agora.waiting import waiting


class Clock:
    """Time goes on by what is slept, until a test says that it is enough."""

    def __init__(self, monkeypatch, tellings):
        self.now, self.pauses, self.said, self.left = 100.0, [], [], tellings
        self.enough = asyncio.Event()
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=self.sleep, create_task=asyncio.create_task))

    async def sleep(self, seconds):
        if not self.left:
            self.enough.set()
            await asyncio.Event().wait()
        self.left -= 1
        self.pauses.append(seconds)
        self.now += seconds


@pytest.mark.parametrize(("first", "pauses"), [(None, [5, 10, 20, 40, 60, 60]), (50.0, [50, 60, 60, 60, 60, 60])])
def test_pauses_double_up_to_a_minute(monkeypatch, first, pauses):
    async def wait():
        clock = Clock(monkeypatch, 6)
        async with waiting(lambda: f"number {len(clock.said)}", clock.said.append, first=first):
            await clock.enough.wait()
        return clock

    clock = asyncio.run(wait())
    assert clock.pauses == pauses
    assert clock.said == [f"waiting for number {n} ({sum(pauses[: n + 1])} s so far)" for n in range(6)]


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_told_after_the_wait(fails):
    async def wait():
        before = asyncio.all_tasks()
        try:
            async with waiting(lambda: "x", lambda text: None, first=3600.0):
                if fails:
                    raise ValueError
        except ValueError:
            assert fails
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    asyncio.run(wait())
