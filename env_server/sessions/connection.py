"""One driver's stream: its requests answered in order, and the lease that ends it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import numpy as np

from agora.codec import from_numbers
from agora.errors import Refused
from agora.v1 import environment_pb2 as pb, policy_pb2
from agora.version import PROTOCOL_VERSION
from env_server.environments.base import Step
from env_server.rollout.collect import Workshop
from env_server.sessions.messages import Wire, describe
from env_server.sessions.session import Session

PIPELINED = 16
"""Requests taken in ahead of the one that is being answered."""
DEADLINE_SECONDS = 5.0
LEASE_SECONDS = 60
MAX_LEASE_SECONDS = 3600


class Connection:
    """One ``EnvironmentService.Connect``."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._session: Session | None = None
        self._lease = LEASE_SECONDS
        self._heard = time.monotonic()
        self._expired = False
        self._inbox: asyncio.Queue[pb.ConnectRequest | None] = asyncio.Queue(PIPELINED)

    async def answers(self, requests: AsyncIterator[pb.ConnectRequest]) -> AsyncIterator[pb.ConnectResponse]:
        """One response per request; a last one where the lease ended the session."""
        listener, self._watcher = asyncio.create_task(self._listen(requests)), asyncio.create_task(self._watch())
        try:
            while not self._expired and (request := await self._inbox.get()) is not None:
                self._heard = time.monotonic()
                response = await self._answer(request)
                if not self._expired:
                    yield response
            if self._expired:
                yield pb.ConnectResponse(refusal=self._lapsed().to_proto())
            elif listener.done():
                listener.result()
        finally:
            listener.cancel()
            self._watcher.cancel()
            if self._session is not None:
                await self._session.close()
            await asyncio.gather(listener, self._watcher, return_exceptions=True)

    async def _listen(self, requests: AsyncIterator[pb.ConnectRequest]) -> None:
        try:
            async for request in requests:
                self._heard = time.monotonic()
                await self._inbox.put(request)
        except Exception:  # bytes that are no message
            await self._inbox.put(None)
            raise
        await self._inbox.put(None)

    async def _watch(self) -> None:
        """End the session when its lease is over, even while a response waits for a driver that reads no more."""
        while (left := self._heard + self._lease - time.monotonic()) > 0:
            await asyncio.sleep(left)
        self._expired = True
        with contextlib.suppress(asyncio.QueueFull):
            self._inbox.put_nowait(None)
        if self._session is not None:
            await self._session.close()

    def _lapsed(self) -> Refused:
        expected = f"a request at least every {self._lease} s"
        return Refused(policy_pb2.REASON_LEASE, "session", expected, "nothing for longer: the session has ended")

    async def _answer(self, request: pb.ConnectRequest) -> pb.ConnectResponse:
        try:
            kind = request.WhichOneof("kind")
            if kind == "open" and self._session is None:
                return pb.ConnectResponse(opened=await self._open(request.open))
            if self._session is None or kind in ("open", None):
                expected = "open once, then reset, step and renew"
                raise Refused(policy_pb2.REASON_NOT_READY, "kind", expected, str(kind))
            if kind == "renew":
                return pb.ConnectResponse(renewed=pb.LeaseRenewed(lease_seconds=self._lease))
            if kind == "reset":
                step = await _reset(self._session, request.reset)
            else:
                step = await self._session.step(self._wire.actions(request.step.agents))
            return pb.ConnectResponse(transition=self._wire.transition(step))
        except Refused as refused:
            return pb.ConnectResponse(refusal=refused.to_proto())

    async def _open(self, request: pb.OpenEnvironment) -> pb.DescribeEnvironmentResponse:
        if PROTOCOL_VERSION not in request.protocol_versions:
            got = str(list(request.protocol_versions))
            raise Refused(policy_pb2.REASON_PROTOCOL_VERSION, "open.protocol_versions", f"[{PROTOCOL_VERSION}]", got)
        lease = request.lease_seconds or LEASE_SECONDS
        if lease > MAX_LEASE_SECONDS:
            expected = f"at most {MAX_LEASE_SECONDS}"
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "open.lease_seconds", expected, str(lease))
        timeout = request.deadline_us / 1e6 or DEADLINE_SECONDS
        self._session = await Session.open(self._workshop, request.environment, request.played, timeout)
        self._wire = Wire(self._session)
        self._heard, self._lease = time.monotonic(), lease
        if not self._expired:
            self._watcher.cancel()
            self._watcher = asyncio.create_task(self._watch())
        return describe(self._session.environment)


async def _reset(session: Session, request: pb.ResetEnvironment) -> Step:
    rows = from_numbers(request.copies, "reset.copies").astype(np.intp)
    return await session.reset(request.seed, rows if len(rows) else None)
