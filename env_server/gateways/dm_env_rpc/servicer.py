"""``dm_env_rpc.v1.Environment``: every request is answered in its turn, a wrong one by an error in the stream."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from agora.channels import SERVER_OPTIONS, bind
from agora.errors import Refused, Unavailable, incident
from agora.v1 import policy_pb2
from env_server.gateways.dm_env_rpc import wire_pb2 as pb
from env_server.gateways.dm_env_rpc.player import Player
from env_server.gateways.dm_env_rpc.settings import check_names
from env_server.gateways.dm_env_rpc.worlds import World, Worlds
from env_server.rollout.collect import Workshop
from env_server.settings import GatewaySettings

log = logging.getLogger(__name__)

SERVICE = "dm_env_rpc.v1.Environment"
METHOD = "Process"


class Client:
    """One stream, which is in one world at a time."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds
        self._joined: tuple[World, Player] | None = None

    async def answer(self, message: bytes) -> bytes:
        """A serialized ``EnvironmentRequest``'s ``EnvironmentResponse``."""
        response = pb.EnvironmentResponse()
        try:
            await self._answer(pb.EnvironmentRequest.FromString(message), response)
        except Exception as error:
            refused = _refused(error)
            response.error.code, response.error.message = refused.status_code.value[0], str(refused)
            response.error.details.add().Pack(refused.to_proto())
        return response.SerializeToString()

    async def _answer(self, request: pb.EnvironmentRequest, response: pb.EnvironmentResponse) -> None:
        match request.WhichOneof("payload"):
            case "step":
                await self._player().step(request.step, response.step)
            case "reset":
                check_names(request.reset.settings, ())
                self._player().restart()
                response.reset.specs.CopyFrom(self._player().layout.specs)
            case "create_world":
                response.create_world.world_name = await self._worlds.create(request.create_world)
            case "join_world":
                response.join_world.specs.CopyFrom(await self._join(request.join_world))
            case "reset_world":
                self._worlds.reset(request.reset_world)
                response.reset_world.SetInParent()
            case "leave_world":
                await self.leave()
                response.leave_world.SetInParent()
            case "destroy_world":
                self._worlds.destroy(request.destroy_world.world_name)
                response.destroy_world.SetInParent()
            case kind:
                expected = "a request of dm_env_rpc v1 other than an extension"
                raise Refused(policy_pb2.REASON_UNSUPPORTED, "request", expected, str(kind))

    async def _join(self, request: pb.JoinWorldRequest) -> pb.ActionObservationSpecs:
        if self._joined is not None:
            raise Refused(policy_pb2.REASON_NOT_READY, "join_world", "a leave before the next join", "a joined client")
        self._joined = await self._worlds.join(request)
        return self._joined[1].layout.specs

    def _player(self) -> Player:
        if self._joined is None:
            raise Refused(policy_pb2.REASON_NOT_READY, "request", "a join before it", "a client in no world")
        return self._joined[1]

    async def leave(self) -> None:
        """Leave the world, if any."""
        if self._joined is None:
            return
        world, player = self._joined
        self._joined = world.player = None
        try:
            await player.leave()
        finally:
            world.taken = False


async def start(settings: GatewaySettings, workshop: Workshop, *, insecure: bool) -> grpc.aio.Server:
    """A server that listens where the settings say.

    Raises:
        Refused: the address is taken, or not local.
    """
    worlds = Worlds(workshop, settings)
    leaving: set[asyncio.Task[None]] = set()

    async def process(requests: AsyncIterator[bytes], context: Any) -> None:
        client = Client(worlds)
        try:
            while (message := await context.read()) is not grpc.aio.EOF:
                await context.write(await client.answer(message))
        finally:
            # A task of its own: gRPC cancels the stream's at any await, this one too.
            task = asyncio.create_task(client.leave())
            leaving.add(task)
            task.add_done_callback(leaving.discard)

    server = grpc.aio.server(options=SERVER_OPTIONS)
    # Without serializers messages are bytes, so that what cannot be parsed is answered too.
    handlers: dict[str, Any] = {METHOD: grpc.stream_stream_rpc_method_handler(process)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    bound = bind(server, settings.dm_env_rpc or "", insecure=insecure)
    await server.start()
    log.info("dm_env_rpc address=%s", bound)
    return server


def _refused(error: Exception) -> Refused:
    """What the client is told; the text of an unknown error stays in this process's log."""
    match error:
        case Refused():
            return error
        case Unavailable():
            return Refused(policy_pb2.REASON_UNREACHABLE, error.address, "an answer", error.why, retryable=True)
        case DecodeError():
            return Refused(policy_pb2.REASON_SPEC_MISMATCH, "request", "an EnvironmentRequest", str(error))
    return incident(error, METHOD)
