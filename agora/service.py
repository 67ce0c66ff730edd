"""What every Agora process does around its own work: health, reflection, metrics, and a clean stop on SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from agora.channels import SERVER_OPTIONS, bind
from agora.errors import DISK, AgoraError, Failed, Refused, cause_in, told
from agora.interceptors import Boundary
from agora.memory import keep_memory
from agora.v1 import policy_pb2

log = logging.getLogger(__name__)

EXIT_FAILED = 1
"""Exit code of a process that cannot go on; the last line on stderr says why."""
EXIT_DISK = 74
"""Exit code of a process whose disk is full or may not be written (sysexits.h: EX_IOERR): a new start is no use."""
EXIT_REFUSED = 2
"""Exit code of a process whose settings are wrong; the last line on stderr says which and why."""
EXIT_HOPELESS = 3
"""Exit code of a process whose work cannot go on, and would fail in the same way again; stderr ends with why."""

_NOT_THE_KIND = (IsADirectoryError, NotADirectoryError, FileExistsError)
"""A folder where a file is meant, or a file where a folder is: as hopeless as a full disk."""


@dataclass(frozen=True)
class Listening:
    """Where a service listens."""

    listen: str = "127.0.0.1:0"
    """Address: HOST:PORT (port 0 picks a free one) or unix:PATH."""
    metrics_port: int | None = None
    """Port of the Prometheus endpoint /metrics on loopback; 0 picks a free one, none switches it off."""
    insecure: bool = False
    """Allow an address that other machines reach although there is no TLS."""
    grace_seconds: float = 1.0
    """How long calls in flight may take to finish after SIGTERM."""


async def serve(
    where: Listening,
    register: Callable[[grpc.aio.Server, str], Awaitable[None] | None],
    names: Sequence[str],
    *,
    on_stop: Callable[[], Awaitable[None]] | None = None,
    until: asyncio.Event | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        where: where to listen.
        register: adds the servicers to the server; gets the address with the port filled in.
        names: full names of the services, for health and reflection.
        on_stop: run after the last call has ended.
        until: set by the process's own work when that is done, which ends serving too.

    Raises:
        Refused: the address is taken, or not local.
    """
    server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
    address = bind(server, where.listen, insecure=where.insecure)
    checker = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    outcome = register(server, address)
    if outcome is not None:
        await outcome
    metrics = serve_metrics(where.metrics_port)
    stop = until or asyncio.Event()
    stop_on_signals(stop)
    await server.start()
    for name in ("", *names):
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    log.info("listening address=%s metrics=%s", address, metrics)
    await stop.wait()
    await checker.enter_graceful_shutdown()
    await server.stop(where.grace_seconds)
    if on_stop is not None:
        await on_stop()
    log.info("stopped")


def stop_on_signals(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set an event."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


def serve_metrics(port: int | None) -> str:
    """Start the Prometheus endpoint, unless ``port`` is None; its address, or "off".

    Raises:
        Refused: the port is taken, or there is none of that number.
    """
    if port is None:
        return "off"
    try:
        server, _ = start_http_server(port, "127.0.0.1")
    except (OSError, OverflowError) as error:
        raise Refused(policy_pb2.REASON_CONFIG, "metrics_port", "a port that is free", f"{port}: {error}") from error
    return f"http://127.0.0.1:{server.server_port}/metrics"


def run(main: Callable[[], Awaitable[None]], name: str) -> None:
    """Run a process's ``main`` on the fast event loop, with logging.

    What is wrong with its settings ends it with exit code 2, what would fail in the same way again with 3, what fails
    around it with 1, a disk that cannot be written with 74; a sentence says what.
    """
    keep_memory()
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s %(levelname)s {name}: %(message)s", stream=sys.stderr)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_as_coroutine(main))
    except (AgoraError, OSError, BaseExceptionGroup) as error:
        cause = cause_in(error)
        if cause is None:
            raise
        log.error("%s", told(cause))
        log.debug("", exc_info=error)
        if isinstance(cause, OSError):
            sys.exit(EXIT_DISK if cause.errno in DISK or isinstance(cause, _NOT_THE_KIND) else EXIT_FAILED)
        if isinstance(cause, Failed):
            sys.exit(EXIT_HOPELESS)
        at_fault = isinstance(cause, Refused) and cause.reason != policy_pb2.REASON_INTERNAL
        sys.exit(EXIT_REFUSED if at_fault else EXIT_FAILED)


async def _as_coroutine(main: Callable[[], Awaitable[None]]) -> None:
    await main()
