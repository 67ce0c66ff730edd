"""``WS /ws`` and ``WS /mcp``: a session lives as long as its socket, and no longer than its client speaks."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.gateways.openenv.door import Door
from env_server.gateways.openenv.mcp import Mcp
from env_server.gateways.openenv.messages import Action, Code, Json, Message, Reset, code_of, fault, parse, validated
from env_server.gateways.openenv.seat import Seat

log = logging.getLogger(__name__)
Answerer = Callable[[str | bytes, Seat], Awaitable[Json | None]]
NORMAL, GOING_AWAY = 1000, 1001
TURN_AWAY_SECONDS = 10.0
CLOSE_SECONDS = 5.0


class Ended(Exception):
    """The client has said that it is done."""


async def converse(socket: WebSocket, door: Door, answer: Answerer, refuse: Callable[[Refused], Json]) -> None:
    """Seat a client and answer what it says until it goes, says that it is done, or is silent for too long.

    Args:
        socket: not accepted yet.
        door: opens the seat.
        answer: to one message; None: none.
        refuse: what is said to a client that gets no seat.
    """
    await socket.accept()
    try:
        seat = await door.open()
    except Refused as refused:
        code = await _turn_away(socket, refuse(refused))
    else:
        try:
            code = await _listen(socket, door.idle_seconds, lambda heard: answer(heard, seat))
        finally:
            await seat.close()
    if code is not None:
        with suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_SECONDS):
                await socket.close(code)


async def _listen(
    socket: WebSocket, idle_seconds: float, answer: Callable[[str | bytes], Awaitable[Json | None]]
) -> int | None:
    """Talk; the code to close with, None if the client has gone."""
    try:
        while True:
            async with asyncio.timeout(idle_seconds):
                heard = await socket.receive()
            if heard["type"] == "websocket.disconnect":
                return None
            said = await answer(heard.get("text") or heard.get("bytes") or "")
            if said is not None:
                async with asyncio.timeout(idle_seconds):  # somebody who never reads holds no seat either
                    await _say(socket, said)
    except Ended:
        return NORMAL
    except TimeoutError:
        return GOING_AWAY
    except WebSocketDisconnect:
        return None


async def _turn_away(socket: WebSocket, said: Json) -> int | None:
    # A client that finds its socket closed when it first speaks does not read why: so it is let speak.
    try:
        async with asyncio.timeout(TURN_AWAY_SECONDS):
            await _say(socket, said)
            heard = await socket.receive()
    except TimeoutError:
        return GOING_AWAY
    except WebSocketDisconnect:
        return None
    return None if heard["type"] == "websocket.disconnect" else NORMAL


async def _say(socket: WebSocket, said: Json) -> None:
    await socket.send_text(json.dumps(said, allow_nan=False))


class Talk:
    """Answers the messages of ``/ws``."""

    def __init__(self, door: Door, mcp: Mcp) -> None:
        self._door, self._mcp = door, mcp

    async def answer(self, heard: str | bytes, seat: Seat) -> Json:
        """What is said to one message; what is wrong with it is said too.

        Raises:
            Ended: it was "close".
        """
        try:
            text = parse(heard)
        except ValueError as error:
            return complaint("INVALID_JSON", f"expected JSON, got {error}")
        try:
            return await self._answer(text, seat)
        except Refused as refused:
            return complaint(code_of(refused), str(refused), errors=[fault(refused)])
        except Ended:
            raise
        except Exception:  # a fault of the game ends neither the process nor this client's talk
            incident = uuid.uuid4().hex[:12]
            log.exception("incident=%s", incident)
            return complaint("EXECUTION_ERROR", f"a fault of the server; its log has incident {incident}")

    async def _answer(self, text: object, seat: Seat) -> Json:
        message = validated(Message, text)
        match message.type:
            case "reset":
                return {"type": "observation", "data": await seat.reset(validated(Reset, message.data))}
            case "step":
                return {"type": "observation", "data": await seat.step(validated(Action, message.data))}
            case "state":
                return {"type": "state", "data": seat.state()}
            case "mcp":
                return {"type": "mcp", "data": await self._mcp.answer(message.data, seat) or {}}
            case "close":
                raise Ended
        return complaint("UNKNOWN_TYPE", f"type: expected reset, step, state, mcp or close, got {message.type!r}")

    def refuse(self, refused: Refused) -> Json:
        """What is said to a client that gets no seat."""
        if refused.reason == policy_pb2.REASON_CAPACITY:
            return complaint("CAPACITY_REACHED", str(refused), **self._door.load)
        return complaint("FACTORY_ERROR", str(refused), errors=[fault(refused)])


def complaint(code: Code, message: str, **more: object) -> Json:
    """OpenEnv's way of saying that something is wrong."""
    return {"type": "error", "data": {"message": message, "code": code, **more}}
