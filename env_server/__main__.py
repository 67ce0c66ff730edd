"""``python -m env_server``: the rules of the games, in a process of their own."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc.aio
import tyro

from agora.service import run, serve
from agora.v1 import environment_pb2_grpc, rollout_pb2_grpc
from agora.version import software
from env_server.environment_servicer import EnvironmentServicer
from env_server.environments.base import Environment, OutsourcedEnvironment
from env_server.pool import Pool
from env_server.rollout.collect import Workshop
from env_server.rollout.link import AgentLink
from env_server.rollout.servicer import RolloutServicer
from env_server.settings import EnvironmentServerSettings

NAMES = ("agora.v1.EnvironmentService", "agora.v1.RolloutService")
IDLE_GAMES = 8
"""Built games kept for the next collection; some hold processes."""
IDLE_LINKS = 64


async def main(settings: EnvironmentServerSettings) -> None:
    """Serve until told to stop."""
    workshop = Workshop(
        software=software(),
        log_directory=settings.log_directory,
        workers=ThreadPoolExecutor(settings.workers, thread_name_prefix="environment"),
        environments=Pool[Environment](IDLE_GAMES, _close),
        links=Pool[AgentLink](IDLE_LINKS, AgentLink.close),
    )

    def register(server: grpc.aio.Server, address: str) -> None:
        environment_pb2_grpc.add_EnvironmentServiceServicer_to_server(
            EnvironmentServicer(workshop.environments), server
        )
        rollout_pb2_grpc.add_RolloutServiceServicer_to_server(RolloutServicer(workshop), server)

    async def stop() -> None:
        await workshop.links.close()
        await workshop.environments.close()

    await serve(settings.where, register, NAMES, on_stop=stop)


async def _close(environment: Environment) -> None:
    if isinstance(environment, OutsourcedEnvironment):
        await asyncio.to_thread(environment.close)


if __name__ == "__main__":
    chosen = tyro.cli(EnvironmentServerSettings, config=(tyro.conf.OmitArgPrefixes,))
    run(lambda: main(chosen), "env_server")
