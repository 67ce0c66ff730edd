"""The agent's side of the lobby: dial in, wait to be seated, answer, and join again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TypeAlias

import grpc
import grpc.aio

from agora.agents.servicer import AgentServicer
from agora.channels import connect
from agora.errors import AgoraError, Refused, Unavailable, explain
from agora.v1 import agent_pb2, lobby_pb2 as pb, lobby_pb2_grpc, policy_pb2
from agora.version import software

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
JOIN_SECONDS = 10.0
"""How long a lobby may take to admit."""
_HOPELESS = (policy_pb2.REASON_TOKEN, policy_pb2.REASON_UNSUPPORTED)
_Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.JoinRequest, pb.JoinResponse]"


class DialIn:
    """Keeps one stream waiting in a lobby, besides those that were taken, until cancelled."""

    def __init__(self, servicer: AgentServicer, address: str, name: str, token: str) -> None:
        """See ``run``.

        Args:
            servicer: what answers.
            address: of the server whose lobby it is.
            name: under which games seat it: "lobby:NAME".
            token: that the server's keeper gave out for the name.
        """
        self._servicer, self._address = servicer, address
        self._join = pb.JoinLobby(name=name, token=token, software=software())
        self._pause = FIRST_PAUSE_SECONDS
        self._playing: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Join, and join again whenever the stream was taken or broke.

        Raises:
            Refused: the lobby does not know the token, or there is none.
        """
        try:
            async with connect(self._address) as channel:
                while True:
                    try:
                        await self._wait_once(lobby_pb2_grpc.LobbyServiceStub(channel).Join())
                    except AgoraError as error:
                        if isinstance(error, Refused) and error.reason in _HOPELESS:
                            raise
                        log.warning("not in the lobby at %s: %s; again in %.1f s", self._address, error, self._pause)
                        await asyncio.sleep(self._pause)
                        self._pause = min(2.0 * self._pause, LONGEST_PAUSE_SECONDS)
        finally:
            for task in self._playing:
                task.cancel()

    async def _wait_once(self, call: _Call) -> None:
        """Join with a new stream, and return when it was taken and plays.

        Raises:
            AgoraError: it was not admitted, or it broke before.
        """
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await call.write(pb.JoinRequest(join=self._join))
                await self._read(call, "joined")
            self._pause = FIRST_PAUSE_SECONDS
            log.info("joined the lobby at %s as %s", self._address, self._join.name)
            hello = await self._read(call, "request")
        except grpc.RpcError as error:
            raise explain(error, self._address) from error
        except TimeoutError as error:
            call.cancel()
            raise Unavailable(self._address, f"did not say within {JOIN_SECONDS:g} s that it is a lobby") from error
        except BaseException:
            call.cancel()
            raise
        task = asyncio.create_task(self._play(call, hello.request))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _read(self, call: _Call, kind: str) -> pb.JoinResponse:
        answer = await call.read()
        if not isinstance(answer, pb.JoinResponse) or answer.WhichOneof("kind") != kind:
            raise Unavailable(self._address, "closed the stream")
        return answer

    async def _play(self, call: _Call, first: agent_pb2.ActRequest) -> None:
        """Answer until the stream ends, as if it had been dialled."""

        async def requests() -> AsyncIterator[agent_pb2.ActRequest]:
            yield first
            while isinstance(message := await call.read(), pb.JoinResponse):
                yield message.request

        try:
            async for response in self._servicer.Act(requests()):
                await call.write(pb.JoinRequest(answer=response))
        except (grpc.RpcError, asyncio.InvalidStateError) as error:
            log.info("the game's stream broke: %s", error)
        finally:
            call.cancel()
