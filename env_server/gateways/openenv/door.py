"""Who may sit down: every client gets a game of its own, and loses it when it is silent for too long."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from env_server.gateways.game import Part
from env_server.gateways.openenv.seat import Seat
from env_server.rollout.collect import Workshop


class Door:
    """Opens seats, and keeps those whose clients come back by their id.

    Attributes:
        part: what every client plays.
        idle_seconds: how long a client may be silent.
    """

    def __init__(self, workshop: Workshop, part: Part, idle_seconds: float) -> None:
        self.part, self.idle_seconds = part, idle_seconds
        self._workshop = workshop
        self._kept: dict[str, tuple[Seat, asyncio.TimerHandle]] = {}
        self._leaving: set[asyncio.Task[bool]] = set()

    @property
    def load(self) -> dict[str, int]:
        """How many sessions of the server are open, and how many may be."""
        return {"active_sessions": self._workshop.sessions, "max_sessions": self._workshop.max_sessions}

    async def open(self) -> Seat:
        """A seat, to be closed.

        Raises:
            Refused: see ``Session.open``.
        """
        return await Seat.open(self._workshop, self.part)

    @asynccontextmanager
    async def visit(self) -> AsyncIterator[Seat]:
        """A seat for one request.

        Raises:
            Refused: see ``Session.open``.
        """
        seat = await self.open()
        try:
            yield seat
        finally:
            await seat.close()

    async def keep(self) -> str:
        """Open a seat for several requests; its id.

        Raises:
            Refused: see ``Session.open``.
        """
        seat, name = await self.open(), str(uuid.uuid4())
        self._kept[name] = (seat, self._timer(name))
        return name

    def find(self, name: str) -> Seat | None:
        """The seat that was kept under this id; its time starts anew."""
        if name not in self._kept:
            return None
        seat, timer = self._kept[name]
        timer.cancel()
        self._kept[name] = (seat, self._timer(name))
        return seat

    async def drop(self, name: str) -> bool:
        """Close the seat that was kept under this id; False if there is none."""
        if name not in self._kept:
            return False
        seat, timer = self._kept.pop(name)
        timer.cancel()
        await seat.close()
        return True

    async def close(self) -> None:
        """Close all that were kept."""
        await asyncio.gather(*map(self.drop, list(self._kept)), *self._leaving)

    def _timer(self, name: str) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self.idle_seconds, self._forget, name)

    def _forget(self, name: str) -> None:
        task = asyncio.ensure_future(self.drop(name))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
