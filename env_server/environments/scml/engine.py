"""A process that plays worlds, seen from the server."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys

from agora.errors import Refused
from agora.negotiation.wire import Kind, receive, send
from agora.v1 import policy_pb2

MODULE = "scml_engine.worker"
INSTALL = "a server with the SCML engine: pip install agora[scml]"


class Engine:
    """One process. After a failure it is closed, and a new one has to be made."""

    def __init__(self, patience: float) -> None:
        """Start it.

        Args:
            patience: seconds that it may take for one answer.
        """
        self._patience = patience
        self._due = False
        self._link, theirs = socket.socketpair()
        self._link.settimeout(patience)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this very interpreter, and a module of this project
                [sys.executable, "-m", MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Published agents iterate over sets of strings, whose order must be the same every time.
                env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            )

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._link.fileno() >= 0 and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self, kind: Kind, payload: bytes) -> None:
        """Send it something to answer; an answer that nobody fetched is dropped.

        Raises:
            Refused: retryable: it is gone, or hangs.
        """
        if self._due:
            self._receive()
        try:
            send(self._link, kind, payload)
        except OSError as error:
            raise self._lost(error) from error
        self._due = True

    def answer(self) -> bytearray:
        """Its answer to what it was asked.

        Raises:
            Refused: retryable if it is gone, or hangs; else it lacks the engine, or cannot play what it was told to.
        """
        kind, payload = self._receive()
        if kind == Kind.TROUBLE:
            raise _refusal(**json.loads(payload))
        return payload

    def _receive(self) -> tuple[Kind, bytearray]:
        try:
            message = receive(self._link)
        except OSError as error:
            raise self._lost(error) from error
        self._due = False
        return message

    def _lost(self, error: OSError) -> Refused:
        if isinstance(error, TimeoutError):
            got = f"none within {self._patience:g} s"
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
            got = f"none: it ended with exit code {self._process.returncode}"
        self.close()
        expected = "an answer from the process that plays the worlds"
        return Refused(policy_pb2.REASON_UNREACHABLE, "environment", expected, got, retryable=True)

    def close(self) -> None:
        """End it."""
        self._link.close()
        self._process.kill()
        self._process.wait()


def _refusal(what: str, message: str) -> Refused:
    if what == "engine":
        return Refused(policy_pb2.REASON_UNSUPPORTED, "environment.name", INSTALL, message)
    if what == "spec":
        return Refused(policy_pb2.REASON_CONFIG, "environment.config", "a playable world", message)
    return Refused(policy_pb2.REASON_INTERNAL, "environment", "a world that plays to its end", message)
