"""How streams to the agent under test come about: it is dialled, or it dials in."""

from __future__ import annotations

import asyncio
from typing import Protocol

import grpc.aio

from agora.channels import SERVER_OPTIONS, bind, channel_options, check_address
from agora.conformance.case import NotApplicable
from agora.conformance.line import Wire
from agora.lobby import Lobby
from agora.v1 import agent_pb2, agent_pb2_grpc, lobby_pb2_grpc


def plain_channel(address: str) -> grpc.aio.Channel:
    """A channel that hides nothing: a call that breaks is not made again."""
    options = [option for option in channel_options(address) if option[0] != "grpc.service_config"]
    return grpc.aio.insecure_channel(check_address(address), options=[*options, ("grpc.enable_retries", 0)])


class Door(Protocol):
    """Where streams come from."""

    name: str

    async def stream(self) -> Wire[agent_pb2.ActRequest]:
        """A new stream."""
        ...

    def channel(self) -> grpc.aio.Channel:
        """What other calls go through.

        Raises:
            NotApplicable: the agent does not listen.
        """
        ...

    def redial(self) -> Door:
        """The same agent over another connection; closed by whoever asked.

        Raises:
            NotApplicable: the agent does not listen.
        """
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


class Dialled:
    """An agent that listens."""

    def __init__(self, address: str) -> None:
        self.name = address
        self._channel = plain_channel(address)

    async def stream(self) -> Wire[agent_pb2.ActRequest]:
        """Call."""
        return agent_pb2_grpc.AgentServiceStub(self._channel).Act()

    def channel(self) -> grpc.aio.Channel:
        """The connection."""
        return self._channel

    def redial(self) -> Dialled:
        """Another connection."""
        return Dialled(self.name)

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()


class Joining:
    """An agent that dials in: the suite keeps the lobby."""

    def __init__(self, lobby: Lobby, server: grpc.aio.Server, address: str, agent: str, patience: float) -> None:
        self.name = f"lobby:{agent} at {address}"
        self._lobby, self._server, self._agent, self._patience = lobby, server, agent, patience

    @classmethod
    async def open(cls, listen: str, agent: str, token: str, patience: float) -> Joining:
        """Open a lobby for one agent.

        Raises:
            Refused: the address is taken or not local.
        """
        lobby, server = Lobby({agent: token}), grpc.aio.server(options=SERVER_OPTIONS)
        lobby_pb2_grpc.add_LobbyServiceServicer_to_server(lobby, server)
        address = bind(server, listen)
        await server.start()
        return cls(lobby, server, address, agent, patience)

    async def stream(self) -> Wire[agent_pb2.ActRequest]:
        """Wait for the agent to join again."""
        return await self._lobby.take(self._agent, self._patience)

    def channel(self) -> grpc.aio.Channel:
        """There is none."""
        raise NotApplicable("an agent that joins a lobby serves nothing else")

    def redial(self) -> Joining:
        """There is no other way to it."""
        raise NotApplicable("an agent that joins a lobby chooses its connection itself")

    async def close(self) -> None:
        """Close the lobby."""
        await asyncio.shield(self._server.stop(0.0))
