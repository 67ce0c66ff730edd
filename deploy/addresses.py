"""Addresses of this machine that nobody else uses."""

from __future__ import annotations

import random
import socket
import tempfile
from pathlib import Path
from typing import Literal

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Addresses:
    """Hands out each address once."""

    def __init__(self, transport: Literal["tcp", "unix"]) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="agora-")) if transport == "unix" else None
        self._taken: set[int] = set()

    def address(self, name: str) -> str:
        """An address for the process ``name``, such as "127.0.0.1:21044" or "unix:/tmp/agora-x/name.sock"."""
        return f"unix:{self._folder / name}.sock" if self._folder else f"127.0.0.1:{self.port()}"

    def port(self) -> int:
        """A loopback port below those that the kernel gives to outgoing connections.

        A process that dies must find its port free when it is restarted. From the kernel's range, a client that keeps
        dialling it might be given the very port that it dials, and then hold it, connected to itself.
        """
        first_outgoing = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
        while True:
            port = random.randint(10_000, max(first_outgoing - 1, 20_000))  # noqa: S311  # nothing secret in a port
            if port not in self._taken and _is_free(port):
                self._taken.add(port)
                return port

    def close(self) -> None:
        """Remove the sockets' folder."""
        if self._folder:
            for path in self._folder.iterdir():
                path.unlink()
            self._folder.rmdir()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
