"""The way to one agent service: its replicas, the stream to each, and what is done when one of them fails."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from prometheus_client import Counter

from agora.channels import check_address, connect
from agora.errors import Refused, Unavailable
from agora.guest import PREFIX
from agora.lobby import Lobby
from agora.v1 import agent_pb2 as pb, policy_pb2
from env_server.rollout.frame import Frame
from env_server.rollout.stream import AgentStream, FrameCall, dialled, joined

RECONNECTS = Counter("agora_agent_reconnects_total", "Streams to agent services that broke and were dialled again.")
REDIAL_SECONDS = 0.05
Answer = TypeVar("Answer")


class AgentLink:
    """Asks an agent service for decisions, whichever replica is up.

    Services keep nothing between frames, so a frame whose stream broke is simply sent again, to the next replica or
    to the same one when it is back. An agent in the lobby is a replica as well: when its stream breaks, the next one
    that waits there takes its place.
    """

    def __init__(self, addresses: Sequence[str], hello: pb.AgentHello, lobby: Lobby) -> None:
        self.addresses = tuple(addresses)
        self.agents = tuple(agent.index for agent in hello.agents)
        self.reconnects = 0
        self._hello = hello
        self._lobby = lobby
        self._channels = {address: connect(address) for address in addresses if not address.startswith(PREFIX)}
        self._streams: list[AgentStream | None] = [None] * len(self.addresses)
        self._dialling = [asyncio.Lock() for _ in self.addresses]
        self._stale = 0
        self._sequence = 0

    @property
    def stale(self) -> int:
        """Answers dropped because nobody waited for them any more."""
        return self._stale + sum(stream.stale for stream in self._streams if stream)

    async def open(self, timeout: float) -> None:
        """Say hello to one replica now, so that a refusal comes before the first frame.

        Raises:
            Refused: the service refused the hello.
            Unavailable: no replica could be reached within ``timeout`` seconds.
        """

        async def nothing(stream: AgentStream, left: float) -> None:
            return None

        await self._on_a_replica(0, timeout, nothing)

    async def post(self, frame: Frame, timeout: float) -> asyncio.Future[pb.Decisions] | None:
        """Send a frame to the replica whose turn it is, if its stream is up; the future is the answer.

        The frame's ``sequence`` is filled in here. None means that ``ask`` has to dial first.
        """
        self._sequence += 1
        frame.sequence = self._sequence
        stream = self._streams[self._sequence % len(self.addresses)]
        if stream is None or not stream.alive:
            return None
        try:
            return await stream.post(frame, timeout)
        except Unavailable:
            return None

    async def ask(self, frame: Frame, timeout: float) -> pb.Decisions:
        """Send a frame again until a replica answers; its sequence number stays what ``post`` made it.

        Raises:
            Refused: the service refused the frame, or none of the replicas answered in time (DEADLINE).
            Unavailable: no replica could be reached within ``timeout`` seconds.
        """

        async def send(stream: AgentStream, left: float) -> pb.Decisions:
            return await (await stream.post(frame, left))

        return await self._on_a_replica(frame.sequence, timeout, send)

    async def _on_a_replica(
        self, first: int, timeout: float, use: Callable[[AgentStream, float], Awaitable[Answer]]
    ) -> Answer:
        """Try replica after replica, beginning with number ``first``, until one answers or time is up."""
        deadline = time.monotonic() + timeout
        for attempt in itertools.count():
            replica = (first + attempt) % len(self.addresses)
            try:
                stream = await self._stream(replica, deadline)
                return await use(stream, max(deadline - time.monotonic(), 0.0))
            except Unavailable as error:
                if time.monotonic() + REDIAL_SECONDS >= deadline:
                    raise Unavailable(error.address, f"no answer within {timeout:g} s ({error.why})") from error
                if (attempt + 1) % len(self.addresses) == 0:
                    await asyncio.sleep(REDIAL_SECONDS)
        raise AssertionError("count() does not end")

    async def _stream(self, replica: int, deadline: float) -> AgentStream:
        stream = self._streams[replica]
        if stream is not None and stream.alive:
            return stream
        async with self._dialling[replica]:
            stream = self._streams[replica]
            if stream is not None and stream.alive:
                return stream
            if stream is not None:
                self._stale += stream.stale
                self._streams[replica] = None
                self.reconnects += 1
                RECONNECTS.inc()
            left = max(deadline - time.monotonic(), 0.001)
            address = self.addresses[replica]
            call = await self._call(address, left)
            stream = await AgentStream.open(call, self._hello, address, max(deadline - time.monotonic(), 0.001))
            self._streams[replica] = stream
            return stream

    async def _call(self, address: str, timeout: float) -> FrameCall:
        if address in self._channels:
            return dialled(self._channels[address])
        return joined(await self._lobby.take(address.removeprefix(PREFIX), timeout))

    async def dismiss_guests(self) -> None:
        """End the streams that came from the lobby: whoever is idle there can be asked by other games."""
        for replica, stream in enumerate(self._streams):
            if stream is not None and stream.address.startswith(PREFIX):
                self._stale += stream.stale
                self._streams[replica] = None
                await stream.close()

    async def close(self) -> None:
        """End all streams and channels."""
        for stream in self._streams:
            if stream is not None:
                await stream.close()
        for channel in self._channels.values():
            await channel.close()


def hellos(
    specs: Sequence[pb.AgentSpec], seats: Mapping[str, Sequence[str]], hello: pb.AgentHello
) -> dict[tuple[str, ...], pb.AgentHello]:
    """The hello for each distinct list of addresses: it answers for all agents that name it.

    Args:
        specs: the environment's agents.
        seats: agent id to addresses.
        hello: what all services are told, without its agents.

    Raises:
        Refused: an agent has no seat, a seat names no agent, or has no address.
    """
    known = {spec.id for spec in specs}
    for agent in seats:
        if agent not in known:
            raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "seats", f"agents {sorted(known)}", repr(agent))
    missing = sorted(known - set(seats))
    if missing:
        raise Refused(policy_pb2.REASON_UNKNOWN_AGENT, "seats", "a seat for every agent", f"none for {missing}")
    said: dict[tuple[str, ...], pb.AgentHello] = {}
    for spec in specs:
        addresses = tuple(seats[spec.id])
        if not addresses:
            raise Refused(policy_pb2.REASON_UNREACHABLE, f"seats.{spec.id}.addresses", "one or more", "none")
        for address in addresses:
            if not address.startswith(PREFIX):
                check_address(address, f"seats.{spec.id}.addresses")
        if addresses not in said:
            said[addresses] = pb.AgentHello()
            said[addresses].CopyFrom(hello)
        said[addresses].agents.append(spec)
    return said
