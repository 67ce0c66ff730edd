"""Starts the project's processes for measurements and tests, and waits until they are healthy."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agora.channels import connect_blocking

ROOT = Path(__file__).resolve().parents[1]
START_SECONDS = 30.0


def free_address() -> str:
    """A loopback address that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def wait_healthy(address: str, seconds: float = START_SECONDS, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return when a service says that it serves.

    Raises:
        RuntimeError: it does not within ``seconds``, or ``process`` ended.
    """
    until = time.monotonic() + seconds
    with connect_blocking(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        while time.monotonic() < until:
            if process is not None and process.poll() is not None:
                raise RuntimeError(f"the process for {address} ended with exit code {process.returncode}")
            try:
                reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=1.0)
                if reply.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.RpcError:
                time.sleep(0.05)
    raise RuntimeError(f"{address} is not healthy after {seconds} s")


def wait_listening(address: str, seconds: float = START_SECONDS) -> None:
    """Return when something without a health service accepts connections.

    Raises:
        RuntimeError: nothing does within ``seconds``.
    """
    host, _, port = address.rpartition(":")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on {address} after {seconds} s")


class Service:
    """``python -m MODULE --listen ADDRESS ...`` as a context: healthy inside, stopped afterwards.

    Args:
        module: "agent_services", "trainer.registry", ...
        arguments: further command line arguments.
        address: where it listens; None picks a free port.
        log: file for its output; None discards it.
        variables: of its environment, beside this process's.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str] = (),
        address: str | None = None,
        log: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.address = address or free_address()
        self._command = [sys.executable, "-m", module, "--listen", self.address, *arguments]
        self._log = log
        self._variables = variables or {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> Self:
        """Start it, and wait for its health unless told otherwise."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **self._variables}
        with open(self._log or os.devnull, "ab") as output:
            self.process = subprocess.Popen(self._command, stdout=output, stderr=output, env=environment, cwd=ROOT)
        if wait:
            self.wait()
        return self

    def wait(self) -> None:
        """Wait for its health."""
        wait_healthy(self.address, process=self.process)

    def kill(self) -> None:
        """SIGKILL."""
        self.stop(signal.SIGKILL)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 10.0) -> int | None:
        """Send a signal and wait for the end; its exit code, None if it was not started."""
        if self.process is None:
            return None
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
