"""The OpenEnv server inside the environment server's process and event loop."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import uvicorn

from agora.channels import is_local
from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.environments.base import Environment
from env_server.gateways.game import Part, find_game
from env_server.gateways.openenv.app import Routes
from env_server.gateways.openenv.door import Door
from env_server.gateways.openenv.seat import schemas
from env_server.rollout.collect import Workshop, key_of
from env_server.settings import GatewaySettings

PING_SECONDS = 20.0


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals end the whole process, and it ends this server."""
        yield


class Gateway:
    """Serves from ``start`` to ``stop``."""

    def __init__(self, door: Door, server: uvicorn.Server, serving: asyncio.Task[None]) -> None:
        """See ``start``."""
        self._door, self._server, self._serving = door, server, serving

    @classmethod
    async def start(cls, settings: GatewaySettings, workshop: Workshop, *, insecure: bool) -> Self:
        """Listen at the address of the settings.

        Raises:
            Refused: the address is no free HOST:PORT, or not local; the game, its agent or a seat is wrong.
        """
        listening = _bind(settings.openenv or "", insecure=insecure)
        part = (await find_game(settings)).part(settings.gateway_agent, settings.gateway_seats)
        door = Door(workshop, part, settings.gateway_idle_seconds)
        config = uvicorn.Config(
            (await _routes(workshop, door, part)).app(),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            # An unanswered ping ends nothing: tunnels drop them, and busy clients are slow. Silence does, see Door.
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=None,
        )
        server = _Server(config)
        return cls(door, server, asyncio.create_task(server.serve([listening])))

    async def stop(self, grace_seconds: float) -> None:
        """End all talks and give their games back; requests in flight may take ``grace_seconds`` to finish."""
        self._server.config.timeout_graceful_shutdown = math.ceil(grace_seconds)
        self._server.should_exit = True
        await self._serving
        await self._door.close()


async def _routes(workshop: Workshop, door: Door, part: Part) -> Routes:
    environment = await workshop.take_environment(part.spec)
    try:
        observes = environment.observation_spaces[part.agent]
        acts = environment.action_spaces[part.agent]
        return Routes(door, part.spec.name, _description(environment, part), schemas(observes, acts))
    finally:
        await workshop.environments.give(key_of(part.spec), environment)


def _description(environment: Environment, part: Part) -> str:
    count = len(environment.agents)
    others = f"; agent services play the other {count - 1}" if count > 1 else ""
    return f"You are {part.agent} in the game {part.spec.name!r}{others}. /schema tells what you observe and do."


def _bind(address: str, *, insecure: bool) -> socket.socket:
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or address.startswith("unix:"):
        raise Refused(policy_pb2.REASON_CONFIG, "openenv", "HOST:PORT", repr(address))
    if not is_local(address) and not insecure:
        expected = "a loopback address (others need a proxy with TLS; --insecure overrides)"
        raise Refused(policy_pb2.REASON_CONFIG, "openenv", expected, address)
    try:
        return socket.create_server((host.strip("[]"), int(port)), family=_family(host))
    except (OSError, OverflowError) as error:
        raise Refused(policy_pb2.REASON_CONFIG, "openenv", "an address that is free", f"{address}: {error}") from error


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if host.startswith("[") else socket.AF_INET
