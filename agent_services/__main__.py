"""``python -m agent_services``: see ``--help``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import inspect

import grpc.aio
import tyro

from agent_services.policies import load, prepare
from agent_services.registry_client import RegistryClient
from agent_services.settings import Settings
from agora.agents.handler import Handler
from agora.agents.policy import Source
from agora.agents.servicer import AgentServicer
from agora.agents.versions import NO_VERSION, Held, Shelf
from agora.errors import Refused
from agora.service import run, serve
from agora.v1 import agent_pb2_grpc, policy_pb2

NAMES = ("agora.v1.AgentService",)


def _first_version(settings: Settings) -> Held | None:
    """What acts before any registry is asked."""
    if settings.registry is not None and settings.model is None:
        return None
    try:
        model = settings.model.read_bytes() if settings.model else b""
    except OSError as error:
        expected = "a file that can be read"
        raise Refused(policy_pb2.REASON_CONFIG, "model", expected, f"{settings.model}: {error.strerror}") from error
    policy = load(settings.kind, Source(settings.name, settings.parameters, model))
    sha256 = hashlib.sha256(model).hexdigest() if model else ""
    return Held(policy, NO_VERSION, sha256, exact=settings.kind != "remote")


async def main(settings: Settings) -> None:
    """Serve until stopped.

    Raises:
        Refused: the settings do not go together, or the model or address cannot be used.
    """
    settings.check()
    prepare(settings.kind)
    first = _first_version(settings)
    shelves = [Shelf(policy_id, settings.policy, settings.keep_versions) for policy_id in settings.policy_ids]
    for shelf in shelves:
        if first is not None:
            shelf.put(first)
    following: list[asyncio.Task[None]] = []

    def register(server: grpc.aio.Server, address: str) -> None:
        agent_pb2_grpc.add_AgentServiceServicer_to_server(AgentServicer(Handler(shelves)), server)
        if settings.registry is not None:
            client = RegistryClient(settings.registry, shelves, address)
            following.append(asyncio.create_task(client.run()))

    async def stop() -> None:
        for task in following:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    await serve(settings.where, register, NAMES, on_stop=stop)


if __name__ == "__main__":
    run(
        functools.partial(
            main, tyro.cli(Settings, prog="python -m agent_services", description=inspect.getdoc(Settings))
        ),
        "agent_services",
    )
