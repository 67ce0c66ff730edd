"""Streams of frames to an agent service, whichever side dialled; and those of agents that dialled in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from agora.errors import Refused, Unavailable
from agora.v1 import agent_pb2, lobby_pb2 as pb, policy_pb2

PREFIX = "lobby:"
MAX_UNREAD = 64
"""Frames that an agent has not read, or answers that nobody asked for, before its stream is ended."""


class Call(Protocol):
    """A stream of frames to an agent service, whichever side dialled."""

    async def write(self, request: agent_pb2.ActRequest) -> None:
        """Send a hello or a frame.

        Raises:
            Unavailable: the stream has ended. A dialled stream raises gRPC's own errors.
        """
        ...

    async def read(self) -> object:
        """The next ``ActResponse``; anything else is the stream's end."""
        ...

    def cancel(self) -> object:
        """End the stream."""
        ...


class Guest:
    """One joined stream: a ``Call`` for whoever takes it.

    Attributes:
        taken: whether somebody did.
        ended: whether the agent left, or was let go.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.taken = False
        self.ended = False
        self._asked: asyncio.Queue[pb.JoinResponse | None] = asyncio.Queue()
        self._answers: asyncio.Queue[agent_pb2.ActResponse | None] = asyncio.Queue()

    async def write(self, request: agent_pb2.ActRequest) -> None:
        """Send a hello or a frame; see ``Call``."""
        if self._asked.qsize() >= MAX_UNREAD:
            self.cancel()
        if self.ended:
            raise Unavailable(PREFIX + self.name, "the agent left")
        self._asked.put_nowait(pb.JoinResponse(request=request))

    async def read(self) -> agent_pb2.ActResponse | None:
        """The next answer, None at the stream's end."""
        return await self._answers.get()

    def cancel(self) -> None:
        """End the stream; the agent may join again."""
        if not self.ended:
            self.ended = True
            self._asked.put_nowait(None)
            self._answers.put_nowait(None)

    async def asked(self) -> AsyncIterator[pb.JoinResponse]:
        """What is to be sent to the agent, until the stream ends."""
        while not self.ended and (message := await self._asked.get()) is not None:
            yield message

    async def listen(self, requests: AsyncIterator[pb.JoinRequest]) -> None:
        """Take the agent's answers until it hangs up.

        Raises:
            Refused: it says something that nobody asked for.
        """
        try:
            async for request in requests:
                if request.WhichOneof("kind") != "answer" or not self.taken:
                    expected = "answers to what was asked"
                    raise Refused(policy_pb2.REASON_NOT_READY, "answer", expected, request.WhichOneof("kind") or "none")
                if self._answers.qsize() >= MAX_UNREAD:
                    raise Refused(policy_pb2.REASON_STALE, "answer", "one answer a frame", "many more")
                self._answers.put_nowait(request.answer)
        finally:
            self.cancel()
