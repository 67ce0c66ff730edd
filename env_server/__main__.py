"""``python -m env_server``: the rules of the games, in a process of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import grpc.aio
import tyro

from agora.files import check_folder
from agora.lobby import Lobby
from agora.service import run, serve
from agora.v1 import environment_pb2_grpc, lobby_pb2_grpc
from agora.version import software
from env_server import lobby
from env_server.environments import add
from env_server.environments.base import Environment, OutsourcedEnvironment
from env_server.environments.pettingzoo.source import allow
from env_server.gateways.dm_env_rpc import servicer as dm_env_rpc
from env_server.pool import Pool
from env_server.rollout.collect import Workshop
from env_server.rollout.link import AgentLink
from env_server.rollout.servicer import RolloutServicer
from env_server.sessions.servicer import EnvironmentServicer
from env_server.settings import EnvironmentServerSettings

NAMES = ("agora.v1.EnvironmentService", "agora.v1.RolloutService", "agora.v1.LobbyService")
IDLE_GAMES = 8
"""Built games kept for the next collection; some hold processes."""
IDLE_LINKS = 64


class _Door(Protocol):
    async def stop(self, grace_seconds: float, /) -> None: ...


async def main(settings: EnvironmentServerSettings) -> None:
    """Serve until told to stop.

    Raises:
        Refused: a setting is wrong, or an address or folder cannot be used.
    """
    if settings.game or settings.pettingzoo_module:
        # Behind all else, so that a user's folder that is called "trainer" is not taken for ours.
        sys.path.append(os.getcwd())
    _prepare(settings)
    workshop = Workshop(
        software=software(),
        log_directory=settings.log_directory,
        workers=ThreadPoolExecutor(settings.workers, thread_name_prefix="environment"),
        environments=Pool[Environment](IDLE_GAMES, _close),
        links=Pool[AgentLink](IDLE_LINKS, AgentLink.close),
        lobby=Lobby(lobby.read_tokens(settings.lobby_tokens) if settings.lobby_tokens else {}),
        max_sessions=settings.max_sessions,
    )

    doors: list[_Door] = []

    async def register(server: grpc.aio.Server, address: str) -> None:
        environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(EnvironmentServicer(workshop), server)
        RolloutServicer(workshop).register(server)
        if settings.lobby_listen is None:
            lobby_pb2_grpc.add_LobbyServiceServicer_to_server(workshop.lobby, server)
        else:
            doors.append(await lobby.start(workshop.lobby, settings.lobby_listen, insecure=settings.where.insecure))
        if settings.gateway.dm_env_rpc is not None:
            doors.append(await dm_env_rpc.start(settings.gateway, workshop, insecure=settings.where.insecure))
        if settings.gateway.openenv is not None:
            from env_server.gateways.openenv.gateway import Gateway  # an extra: only who asks for it needs it

            doors.append(await Gateway.start(settings.gateway, workshop, insecure=settings.where.insecure))

    async def stop() -> None:
        for door in doors:
            await door.stop(settings.where.grace_seconds)
        await workshop.links.close()
        await workshop.environments.close()

    await serve(settings.where, register, NAMES, on_stop=stop)


def _prepare(settings: EnvironmentServerSettings) -> None:
    """Check the log's folder, and let in the code that the settings name.

    Raises:
        Refused: the folder cannot be written, or a game cannot be imported.
    """
    if settings.log_directory is not None:
        check_folder(settings.log_directory, "log_directory")
    for game in settings.game:
        add(game)
    for module in settings.pettingzoo_module:
        allow(module)


async def _close(environment: Environment) -> None:
    if isinstance(environment, OutsourcedEnvironment):
        await asyncio.to_thread(environment.close)


if __name__ == "__main__":
    chosen = tyro.cli(EnvironmentServerSettings, config=(tyro.conf.OmitArgPrefixes,))
    run(lambda: main(chosen), "env_server")
