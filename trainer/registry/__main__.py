"""``python -m trainer.registry``: see ``--help``."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import grpc.aio
import tyro

from agora.errors import Refused
from agora.service import Listening, run, serve
from agora.v1 import policy_pb2, policy_registry_pb2_grpc
from trainer.registry.servicer import RegistryServicer
from trainer.registry.store import Store

NAMES = ("agora.v1.PolicyRegistryService",)


@dataclass(frozen=True)
class Settings:
    """Store policy versions and push them to agent services (agora.v1.PolicyRegistryService)."""

    directory: Path
    """Folder of the versions; made if it is not there, read if it is."""
    where: Annotated[Listening, tyro.conf.arg(name="")] = field(default_factory=Listening)


async def main(settings: Settings) -> None:
    """Serve until stopped.

    Raises:
        Refused: the directory or address cannot be used.
    """
    try:
        servicer = RegistryServicer(Store(settings.directory))
    except OSError as error:
        got = f"{settings.directory}: {error.strerror}"
        raise Refused(policy_pb2.REASON_CONFIG, "directory", "a folder that can be written", got) from error

    def register(server: grpc.aio.Server, address: str) -> None:
        policy_registry_pb2_grpc.add_PolicyRegistryServiceServicer_to_server(servicer, server)

    stopping = asyncio.Event()

    async def end_watches() -> None:
        await stopping.wait()
        servicer.stop_watches()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(end_watches())
        await serve(settings.where, register, NAMES, until=stopping)


if __name__ == "__main__":
    run(functools.partial(main, tyro.cli(Settings, prog="python -m trainer.registry")), "registry")
