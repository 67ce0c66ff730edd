"""One process of a run: what to start, starting it, and ending it for certain."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agora.channels import connect
from agora.files import writing

_CHILD = Path(__file__).with_name("child.py")
POLL_SECONDS = 0.05
START_SECONDS = 120.0
"""Until a process must work that was started: the first time of a game compiles it."""


async def is_healthy(address: str, timeout: float = 2.0) -> bool:
    """Whether the health service at ``address`` says so within ``timeout`` seconds."""
    async with connect(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
        except grpc.aio.AioRpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


@dataclass(frozen=True)
class Command:
    """What to start.

    Attributes:
        name: of the process, and of its log.
        arguments: the command line.
        log: the file that gets its stdout and stderr, appended.
        address: where it listens, and tells its health.
        hang_seconds: how long it may be without health before it counts as hung.
        job: whether it is done, and not to be restarted, once it ends with exit code 0.
        metrics: its /metrics port, if it has one.
    """

    name: str
    arguments: tuple[str, ...]
    log: Path
    address: str
    hang_seconds: float = 20.0
    job: bool = False
    metrics: int | None = None


class Child:
    """A started command, in a session of its own, so that Ctrl-C in the terminal reaches the launcher only."""

    def __init__(self, command: Command) -> None:
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with writing(command.log), command.log.open("ab") as log:
            log.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(command.arguments)}\n".encode())
            log.flush()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_CHILD), str(os.getpid()), *command.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.pid = self._process.pid
        self.started = time.monotonic()

    @property
    def uptime(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it has started."""
        if self._process.poll() is None:
            os.killpg(self.pid, number)

    async def stop(self, grace_seconds: float) -> None:
        """SIGTERM; SIGKILL to what is still there after the grace."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + grace_seconds
        while self.exit_code is None and time.monotonic() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        self.signal(signal.SIGKILL)
        while self.exit_code is None:
            await asyncio.sleep(POLL_SECONDS)
