"""``python -m analysis.scml [RUNS_DIR]``: look at runs of the supply-chain game in a browser."""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import tyro
import uvicorn

from analysis.scml.app import LOOPBACK_NAMES, create_app


@dataclass(frozen=True)
class Settings:
    """Serve pages about runs of the supply-chain game, from their folders alone."""

    runs: tyro.conf.Positional[Path] = Path("runs")
    """The folder in which runs lie, or the folder of one run."""
    listen: str = "127.0.0.1:8765"
    """HOST:PORT to serve at; port 0 takes a free one. Only a loopback address, unless --insecure."""
    open: bool = False
    """Open a browser."""
    insecure: bool = False
    """Serve at an address that others can reach. There is no password: whoever reaches it reads all runs."""


def main(settings: Settings) -> int:
    """Serve until stopped.

    Returns:
        The exit status: 0, 1 if the address cannot be had, or 2 where a setting is wrong.
    """
    try:
        host, port = parse(settings.listen)
        check(host, settings)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        print(f"listen: {settings.listen}: {error.strerror}", file=sys.stderr)
        return 1
    with suppress(KeyboardInterrupt):
        app = create_app(settings.runs, ["*"] if settings.insecure else LOOPBACK_NAMES)
        config = uvicorn.Config(app, log_level="warning", server_header=False)
        Announcing(config, browser=settings.open).run([listening])
    return 0


class Announcing(uvicorn.Server):
    """Tells where it is when it answers, and when a signal ends it: one that came before could be lost."""

    def __init__(self, config: uvicorn.Config, *, browser: bool) -> None:
        super().__init__(config)
        self._browser = browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets)
        for listening in sockets or ():
            announce(listening, self._browser)


def announce(listening: socket.socket, browser: bool) -> None:
    """Print the address, and open a browser there if asked to."""
    host, port = listening.getsockname()[:2]
    address = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    print(address, flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def parse(listen: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``; an IPv6 address in brackets.

    Raises:
        ValueError: it is not that.
    """
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"listen: expected HOST:PORT, got {listen!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def check(host: str, settings: Settings) -> None:
    """See that the folder is there and that the host may be served at.

    Raises:
        ValueError: one of them is not so.
    """
    if not settings.runs.is_dir():
        raise ValueError(f"runs: expected a folder, found none at {settings.runs}")
    if not (settings.insecure or _loopback(host)):
        raise ValueError(f"listen: expected a loopback address such as 127.0.0.1 (or --insecure), got {host!r}")


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Settings, prog="python -m analysis.scml")))
