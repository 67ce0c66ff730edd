"""The lobby: agents that cannot listen dial in here and wait until a game seats them as ``lobby:NAME``."""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncIterator, Mapping

from prometheus_client import Gauge

from agora.errors import Refused, Unavailable
from agora.guest import PREFIX, Call, Guest
from agora.interceptors import Context
from agora.v1 import lobby_pb2 as pb, lobby_pb2_grpc, policy_pb2

WAITING = Gauge("agora_lobby_waiting", "Agents that dialled in and wait to be seated.", ("name",))
MAX_WAITING = 256
"""Under one name."""
JOIN_SECONDS = 10.0
"""How long a caller may take to say who it is."""


class _Room:
    """Who waits under one name, first come first."""

    def __init__(self, name: str) -> None:
        self.guests: deque[Guest] = deque()
        self._entered = asyncio.Event()
        self._waiting = WAITING.labels(name)

    def enter(self, guest: Guest) -> int:
        """Let a guest wait; how many do now."""
        self.guests.append(guest)
        self._waiting.set(len(self.guests))
        self._entered.set()
        return len(self.guests)

    def leave(self, guest: Guest) -> None:
        """A guest waits no more."""
        if guest in self.guests:
            self.guests.remove(guest)
            self._waiting.set(len(self.guests))

    async def next(self) -> Guest:
        """Take the guest that has waited longest, or the first to come."""
        while not (there := [guest for guest in self.guests if not guest.ended]):
            self._entered.clear()
            await self._entered.wait()
        self.leave(there[0])
        there[0].taken = True
        return there[0]


class Lobby(lobby_pb2_grpc.LobbyServiceServicer):
    """agora.v1.LobbyService, and the way from it to the games."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        """Open the lobby.

        Args:
            tokens: name to the token that its agents must show; empty keeps the lobby shut.
        """
        self._tokens = dict(tokens)
        self._rooms = {name: _Room(name) for name in tokens}

    async def take(self, name: str, timeout: float) -> Call:
        """The agent that has waited longest under a name; waits for one to join if nobody is there.

        Raises:
            Refused: no agent may join under this name, or none at all.
            Unavailable: nobody joined within ``timeout`` seconds.
        """
        self._check_open()
        room = self._rooms.get(name)
        if room is None:
            raise Refused(policy_pb2.REASON_UNREACHABLE, PREFIX + name, "a name in the server's file of tokens", name)
        try:
            async with asyncio.timeout(timeout):
                return await room.next()
        except TimeoutError:
            raise Unavailable(PREFIX + name, "nobody joined") from None

    async def Join(
        self, request_iterator: AsyncIterator[pb.JoinRequest], context: Context
    ) -> AsyncIterator[pb.JoinResponse]:
        """Admit an agent, let it wait, and carry frames to it once it is taken."""
        guest = await self._admit(request_iterator)
        room = self._rooms[guest.name]
        listening = asyncio.create_task(guest.listen(request_iterator))
        try:
            yield pb.JoinResponse(joined=pb.JoinedLobby(waiting=room.enter(guest)))
            async for message in guest.asked():
                yield message
            if listening.done():
                await listening
        finally:
            listening.cancel()
            guest.cancel()
            room.leave(guest)

    async def _admit(self, requests: AsyncIterator[pb.JoinRequest]) -> Guest:
        """Check who joins.

        Raises:
            Refused: the lobby is shut, the caller does not say who it is, shows a wrong token, or too many wait.
        """
        self._check_open()
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                first = await anext(requests, pb.JoinRequest())
        except TimeoutError:
            expected = f"a name and token within {JOIN_SECONDS:.0f} s"
            raise Refused(policy_pb2.REASON_DEADLINE, "join", expected, "none") from None
        if first.WhichOneof("kind") != "join":
            got = first.WhichOneof("kind") or "nothing"
            raise Refused(policy_pb2.REASON_NOT_READY, "join", "a name and token first", got)
        self._check_token(first.join)
        if len(self._rooms[first.join.name].guests) >= MAX_WAITING:
            expected = f"at most {MAX_WAITING} waiting under one name"
            raise Refused(policy_pb2.REASON_CAPACITY, "join.name", expected, "one more", retryable=True)
        return Guest(first.join.name)

    def _check_open(self) -> None:
        if not self._tokens:
            expected = "a server started with --lobby-tokens"
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "lobby", expected, "one without")

    def _check_token(self, join: pb.JoinLobby) -> None:
        # A name that is not there takes as long and reads the same as a wrong token.
        token = self._tokens.get(join.name, "")
        if not hmac.compare_digest(join.token.encode(), token.encode()) or not token:
            raise Refused(policy_pb2.REASON_TOKEN, "join", "a name of this lobby and its token", "another pair")
