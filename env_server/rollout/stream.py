"""One live stream to one replica of an agent service: frames out, answers matched by sequence number."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, cast

import grpc
import grpc.aio
from prometheus_client import Counter

from agora.errors import AgoraError, Refused, Unavailable, explain
from agora.guest import Call
from agora.v1 import agent_pb2 as pb, policy_pb2
from agora.version import PROTOCOL_VERSION
from env_server.rollout.frame import Frame

STALE = Counter("agora_stale_answers_total", "Late or doubled answers that were dropped.")


class FrameCall(Protocol):
    """A stream of ``AgentService.Act``; what is sent was encoded before."""

    async def write(self, request: bytes) -> None:
        """Send an ``ActRequest``."""
        ...

    async def read(self) -> object:
        """The next ``ActResponse``; anything else is the stream's end."""
        ...

    def cancel(self) -> object:
        """End the stream."""
        ...


def dialled(channel: grpc.aio.Channel) -> FrameCall:
    """A stream to a service that listens."""
    act: Any = channel.stream_stream("/agora.v1.AgentService/Act", response_deserializer=pb.ActResponse.FromString)
    return cast(FrameCall, act())


def joined(call: Call) -> FrameCall:
    """A stream to an agent that dialled in."""
    return _Joined(call)


class _Joined:
    def __init__(self, call: Call) -> None:
        self._call = call
        self.read, self.cancel = call.read, call.cancel

    async def write(self, request: bytes) -> None:
        await self._call.write(pb.ActRequest.FromString(request))


class AgentStream:
    """Frames may be in flight side by side; the service answers them in order."""

    def __init__(self, call: FrameCall, address: str) -> None:
        self.address = address
        self.stale = 0
        self._call = call
        self._writing = asyncio.Lock()
        self._awaited: dict[int, tuple[asyncio.Future[pb.Decisions], asyncio.TimerHandle]] = {}
        self._reader: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, call: FrameCall, hello: pb.AgentHello, address: str, timeout: float) -> AgentStream:
        """Say hello, and wait for the welcome.

        Raises:
            Refused: the service refused the hello, or chose a protocol version that was not offered.
            Unavailable: it cannot be reached within ``timeout`` seconds.
        """
        stream = cls(call, address)
        try:
            async with asyncio.timeout(timeout):
                await stream._call.write(pb.ActRequest(hello=hello).SerializeToString())
                answer = await stream._call.read()
            stream._greet(answer)
        except (TimeoutError, grpc.RpcError, asyncio.InvalidStateError, AgoraError) as error:
            stream._call.cancel()
            if isinstance(error, AgoraError):
                raise
            if isinstance(error, grpc.RpcError):
                raise explain(error, address) from error
            raise Unavailable(address, "nothing there, or it did not answer the hello") from error
        stream._reader = asyncio.create_task(stream._read())
        return stream

    def _greet(self, answer: object) -> None:
        if not isinstance(answer, pb.ActResponse):
            raise Unavailable(self.address, "closed the stream instead of a welcome")
        if answer.WhichOneof("kind") == "refusal":
            raise Refused.from_proto(answer.refusal.refusal)
        version = answer.welcome.protocol_version
        if version != PROTOCOL_VERSION:
            got = f"version {version}"
            raise Refused(policy_pb2.REASON_PROTOCOL_VERSION, "welcome", f"version {PROTOCOL_VERSION}", got)

    @property
    def alive(self) -> bool:
        """Whether frames can still be sent."""
        return self._reader is not None and not self._reader.done()

    async def post(self, frame: Frame, timeout: float) -> asyncio.Future[pb.Decisions]:
        """Send one frame of decisions; the future that comes back is its answer.

        The future fails with ``Refused`` if the service refuses the frame or does not answer within ``timeout``
        seconds (DEADLINE), and with ``Unavailable`` if the stream breaks.

        Raises:
            Unavailable: the stream is broken.
        """
        sequence = frame.sequence
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[pb.Decisions] = loop.create_future()
        self._awaited[sequence] = (answer, loop.call_later(timeout, self._expire, sequence, timeout))
        try:
            async with self._writing:
                await self._call.write(frame.encode(int(timeout * 1e6)))
        except (grpc.RpcError, asyncio.InvalidStateError, Unavailable) as error:
            self._settle(sequence)
            raise Unavailable(self.address, "the stream broke") from error
        return answer

    def _expire(self, sequence: int, timeout: float) -> None:
        answer = self._settle(sequence)
        if self._writing.locked():
            # A peer that does not read fills its window, and then a write would wait for ever.
            self._call.cancel()
        if answer is not None:
            expected = f"an answer within {timeout:.3f} s"
            answer.set_exception(Refused(policy_pb2.REASON_DEADLINE, self.address, expected, "none", retryable=True))

    def _settle(self, sequence: int) -> asyncio.Future[pb.Decisions] | None:
        """Stop waiting for an answer; its future, unless nobody waits for it any more."""
        answer, timer = self._awaited.pop(sequence, (None, None))
        if timer is not None:
            timer.cancel()
        return None if answer is None or answer.done() else answer

    async def _read(self) -> None:
        why = "closed the stream"
        try:
            while isinstance(message := await self._call.read(), pb.ActResponse):
                self._deliver(message)
        except grpc.RpcError as error:
            why = str(explain(error, self.address))
        finally:
            for sequence in list(self._awaited):
                answer = self._settle(sequence)
                if answer is not None:
                    answer.set_exception(Unavailable(self.address, why))

    def _deliver(self, message: pb.ActResponse) -> None:
        refused = message.WhichOneof("kind") == "refusal"
        sequence = message.refusal.sequence if refused else message.decisions.sequence
        answer = self._settle(sequence)
        if answer is None:
            self.stale += 1
            STALE.inc()
        elif refused:
            answer.set_exception(Refused.from_proto(message.refusal.refusal))
        else:
            answer.set_result(message.decisions)

    async def close(self) -> None:
        """End the stream."""
        self._call.cancel()
        if self._reader is not None:
            await asyncio.wait({self._reader})
