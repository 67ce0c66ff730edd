"""One stream in raw messages, on which nothing waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Generic, Protocol, TypeVar

import grpc.aio
from google.protobuf.message import Message

from agora.conformance.case import SILENCE, Failed, NotApplicable, expect

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
T = TypeVar("T")
RequestIn = TypeVar("RequestIn", bound=Message, contravariant=True)


class Wire(Protocol[RequestIn]):
    """What carries a stream: a call, or an agent that joined."""

    async def write(self, request: RequestIn) -> None:
        """Send."""
        ...

    async def read(self) -> object:
        """The next answer; anything else at the end."""
        ...

    def cancel(self) -> object:
        """Hang up."""
        ...


async def within(awaitable: Awaitable[T], seconds: float, expected: str) -> T:
    """What something comes to.

    Raises:
        Failed: it did not come within ``seconds``.
    """
    try:
        return await asyncio.wait_for(awaitable, seconds)
    except TimeoutError:
        raise Failed(expected, f"{SILENCE} within {seconds:g} s") from None


class Line(Generic[Request, Response]):
    """A stream.

    Attributes:
        patience: seconds to wait for each answer.
    """

    def __init__(self, wire: Wire[Request], answers: type[Response], patience: float) -> None:
        self._wire, self._answers = wire, answers
        self.patience = patience

    async def write(self, request: Request) -> None:
        """Send a request.

        Raises:
            Failed: the stream ended.
        """
        try:
            await within(self._wire.write(request), self.patience, "a request taken in")
        except asyncio.InvalidStateError:
            raise Failed("a stream that lives on", "its end") from None

    async def _read(self, seconds: float | None = None) -> object:
        seconds = self.patience if seconds is None else seconds
        try:
            return await within(self._wire.read(), seconds, "an answer")
        except grpc.aio.AioRpcError as error:
            raise Failed("a stream that lives on", f"it ended with {error.code().name}: {error.details()}") from None

    async def hear(self, seconds: float | None = None) -> Response:
        """The next answer.

        Raises:
            Failed: none came in time, or the stream ended.
        """
        answer = await self._read(seconds)
        if not isinstance(answer, self._answers):
            raise Failed("an answer", "the end of the stream")
        return answer

    async def ended(self) -> None:
        """Fail unless the stream ends now, without an error."""
        answer = await self._read()
        expect(not isinstance(answer, self._answers), "the end of the stream", f"another answer: {answer}")

    async def half_close(self) -> None:
        """Say that nothing more will be asked.

        Raises:
            NotApplicable: the other side joined a lobby, whose streams end otherwise.
        """
        wire: Any = self._wire
        if not isinstance(wire, grpc.aio.StreamStreamCall):
            raise NotApplicable("agents that joined a lobby are not half-closed")
        await wire.done_writing()

    def hang_up(self) -> None:
        """Break the stream."""
        self._wire.cancel()
