"""Keeps one process alive: waits until it works, restarts it when it dies or hangs, stops it when told."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from deploy.errors import EXIT_DISK, EXIT_HOPELESS, EXIT_REFUSED, ProcessFailed, ProcessRefused
from deploy.processes import POLL_SECONDS, START_SECONDS, Child, Command, is_healthy

State = Literal["waiting", "starting", "ready", "restarting", "done", "stopped"]


@dataclass(frozen=True)
class Patience:
    """How much a process may ask for. Times in seconds.

    Attributes:
        start_seconds: from its start until it works.
        check_seconds: between two looks at a process that works.
        restarts: how many restarts within ``window_seconds`` are too many, less one.
        window_seconds: see ``restarts``.
        quick_seconds: a process that lived shorter than this died quickly, as did one that never worked.
        quick_deaths: so many quick deaths in a row are too many: it will not get better.
        backoff_seconds: before the first restart; doubled with every quick death, up to ``max_backoff_seconds``.
        max_backoff_seconds: see ``backoff_seconds``.
        grace_seconds: from SIGTERM to SIGKILL.
    """

    start_seconds: float = START_SECONDS
    check_seconds: float = 1.0
    restarts: int = 12
    window_seconds: float = 600.0
    quick_seconds: float = 10.0
    quick_deaths: int = 6
    backoff_seconds: float = 0.1
    max_backoff_seconds: float = 5.0
    grace_seconds: float = 4.3


class Supervisor:
    """Keeps one process alive.

    Attributes:
        command: what it keeps alive.
        state: what it is doing.
        restarts: how often it has restarted the process.
        ready: set while the process works.
    """

    def __init__(self, command: Command, patience: Patience, note: Callable[[str], None]) -> None:
        """Prepare; ``note`` gets a line for everything that happens."""
        self.command = command
        self.state: State = "waiting"
        self.restarts = 0
        self.ready = asyncio.Event()
        self._patience = patience
        self._note = note
        self._deaths: deque[float] = deque()
        self._quick_deaths = 0
        self._worked, self._worked_once = False, False
        self._child: Child | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now."""
        return self._child.pid if self._child and self._child.exit_code is None else None

    async def run(self) -> None:
        """Keep the process alive until it is done or this task is cancelled; either way it is gone afterwards.

        Raises:
            ProcessRefused: it refused its settings.
            ProcessFailed: it did not start, died too often, or says that it would fail in the same way again.
        """
        try:
            self.state = "starting"
            while True:
                child = self._child = Child(self.command)
                why = await self._live(child)
                if why is None:
                    break
                self._judge(child, why)
                self.state = "restarting"
                await asyncio.sleep(self._backoff())
                self.restarts += 1
            self.state = "done"
        finally:
            if self._child:
                await self._child.stop(self._patience.grace_seconds)
            self.state = "done" if self.state == "done" else "stopped"
            self._note(f"{self.command.name} {self.state}")

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self._child:
            self._child.signal(signal.SIGKILL)

    async def _live(self, child: Child) -> str | None:
        """Watch the process until its end; returns why it ended, or None if it did its job."""
        self._note(f"{self.command.name} started pid={child.pid}")
        try:
            return await self._watch(child)
        finally:
            self.ready.clear()

    async def _watch(self, child: Child) -> str | None:
        self._worked, worked, next_look = False, child.started, 0.0
        while (code := child.exit_code) is None:
            if time.monotonic() >= next_look:
                if await is_healthy(self.command.address):
                    self._now_ready()
                    worked = time.monotonic()
                next_look = time.monotonic() + (self._patience.check_seconds if self.ready.is_set() else POLL_SECONDS)
            limit = self.command.hang_seconds if self.ready.is_set() else self._patience.start_seconds
            if time.monotonic() - worked > limit and child.exit_code is None:
                await child.stop(0)
                return f"did not work for {limit:g} s" if self.ready.is_set() else f"not ready within {limit:g} s"
            await asyncio.sleep(POLL_SECONDS)
        return None if code == 0 and self.command.job else _ending(code)

    def _now_ready(self) -> None:
        new, self.state, self._worked, self._worked_once = not self.ready.is_set(), "ready", True, True
        self.ready.set()
        if new:
            self._note(f"{self.command.name} ready")

    def _judge(self, child: Child, why: str) -> None:
        """Note a death, and give up where another start is no use."""
        name, log = self.command.name, self.command.log
        self._note(f"{name} {why}")
        if child.exit_code == EXIT_REFUSED and (self.command.job or not self._worked_once):
            raise ProcessRefused(name, "refused its settings", log)
        if child.exit_code == EXIT_HOPELESS and self.command.job:
            raise ProcessFailed(name, "failed, and would fail in the same way again", log)
        if child.exit_code == EXIT_DISK:
            raise ProcessFailed(name, "cannot write to its disk", log)
        if not self._worked_once and child.uptime > self._patience.start_seconds:
            raise ProcessFailed(name, why, log)  # it had all the time there is
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > self._patience.window_seconds:
            self._deaths.popleft()
        quick = not self._worked or child.uptime < self._patience.quick_seconds
        self._quick_deaths = self._quick_deaths + 1 if quick else 0
        if len(self._deaths) > self._patience.restarts or self._quick_deaths >= self._patience.quick_deaths:
            raise ProcessFailed(name, f"{why}; given up after {self.restarts} restarts", log)

    def _backoff(self) -> float:
        doubled = self._patience.backoff_seconds * 2.0 ** max(self._quick_deaths - 1, 0)
        return min(doubled, self._patience.max_backoff_seconds)


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
