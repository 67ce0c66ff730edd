"""The game as two tools of the Model Context Protocol, in JSON-RPC 2.0."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agora.errors import Refused
from agora.version import software
from env_server.gateways.openenv.door import Door
from env_server.gateways.openenv.messages import Action, Json, Reset, fault, parse, validated
from env_server.gateways.openenv.seat import Seat
from env_server.gateways.openenv.values import Schema, record

log = logging.getLogger(__name__)
PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
INTERNAL_ERROR, SERVER_ERROR = -32603, -32000
REVISIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""Revisions of the protocol whose tools are told alike; the newest first."""
NEW_EPISODE, ACT = "new_episode", "act"  # OpenEnv reserves "reset" and "step"


class Request(BaseModel):
    """A JSON-RPC request, or a notification, which has no id."""

    model_config = ConfigDict(extra="forbid")

    jsonrpc: Literal["2.0"]
    method: str
    params: Json = Field(default_factory=dict)
    id: str | int | None = None


class _Failed(Exception):
    def __init__(self, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.error: Json = {"code": code, "message": message, **({} if data is None else {"data": data})}


class Mcp:
    """Answers requests, for the seat of a socket or one that is kept under an id."""

    def __init__(self, door: Door, name: str, action: Schema) -> None:
        """Prepare.

        Args:
            door: opens seats.
            name: of the game.
            action: JSON Schema of an action message.
        """
        self._door, self._name = door, name
        seed: Schema = {"type": "integer", "minimum": 0}
        asked = record({"seed": seed, "episode_id": {"type": "string"}}, optional=("seed", "episode_id"))
        self._tools = [
            {
                "name": NEW_EPISODE,
                "description": "Start an episode; tells what is observed first.",
                "inputSchema": asked,
            },
            {"name": ACT, "description": "Act; tells what is observed next and earned.", "inputSchema": action},
        ]

    async def hear(self, heard: str | bytes, seat: Seat | None, kept: str | None = None) -> Json | None:
        """The answer to one message; None to a notification.

        Args:
            heard: the message.
            seat: of the socket it came over; None: it came without one.
            kept: the id of a kept seat; without it ``params.session_id`` counts.
        """
        try:
            text = parse(heard)
        except ValueError as error:
            return _answer(None, error={"code": PARSE_ERROR, "message": f"expected JSON, got {error}"})
        return await self.answer(text, seat, kept)

    async def answer(self, text: Any, seat: Seat | None, kept: str | None = None) -> Json | None:
        """The same for a message that was parsed."""
        try:
            request = validated(Request, text)
        except Refused as refused:
            return _answer(None, error={"code": INVALID_REQUEST, "message": str(refused), "data": fault(refused)})
        if request.method.startswith("notifications/"):
            return None
        try:
            return _answer(request.id, result=await self._do(request, seat, kept))
        except _Failed as failed:
            return _answer(request.id, error=failed.error)
        except Refused as refused:  # nobody was seated
            return self.refuse(refused, request.id)
        except Exception:  # a fault of the game ends neither the process nor this client's talk
            incident = uuid.uuid4().hex[:12]
            log.exception("incident=%s", incident)
            message = f"a fault of the server; its log has incident {incident}"
            return _answer(request.id, error={"code": INTERNAL_ERROR, "message": message})

    def refuse(self, refused: Refused, number: str | int | None = None) -> Json:
        """What is said to a client that gets no seat."""
        data = {**fault(refused), **self._door.load}
        return _answer(number, error={"code": SERVER_ERROR, "message": str(refused), "data": data})

    async def _do(self, request: Request, seat: Seat | None, kept: str | None) -> Json:
        name = kept or request.params.get("session_id")
        match request.method:
            case "initialize":
                return self._initialize(request.params)
            case "ping":
                return {}
            case "tools/list":
                return {"tools": self._tools}
            case "tools/call":
                async with self._seat(seat, name) as found:
                    return await _call(found, request.params)
            case "openenv/session/create" if seat is None:
                return {"session_id": await self._door.keep()}
            case "openenv/session/close" if seat is None:
                if not isinstance(name, str) or not await self._door.drop(name):
                    raise _unknown(name)
                return {"session_id": name, "closed": True}
        raise _Failed(METHOD_NOT_FOUND, f"there is no method {request.method!r} here")

    def _initialize(self, params: Json) -> Json:
        asked = params.get("protocolVersion")
        return {
            "protocolVersion": asked if asked in REVISIONS else REVISIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": self._name, "version": software()},
        }

    @asynccontextmanager
    async def _seat(self, seat: Seat | None, name: Any) -> AsyncIterator[Seat]:
        if seat is not None:
            yield seat
        elif name is None:
            async with self._door.visit() as visitor:
                yield visitor
        elif isinstance(name, str) and (found := self._door.find(name)) is not None:
            yield found
        else:
            raise _unknown(name)


async def _call(seat: Seat, params: Json) -> Json:
    arguments = params.get("arguments", {})
    try:
        match params.get("name"):
            case "new_episode":
                told = await seat.reset(validated(Reset, arguments))
            case "act":
                told = await seat.step(validated(Action, arguments))
            case other:
                raise _Failed(INVALID_PARAMS, f"name: expected {NEW_EPISODE} or {ACT}, got {other!r}")
    except Refused as refused:  # for the model to read and mend
        return {"content": [{"type": "text", "text": str(refused)}], "isError": True}
    text = json.dumps(told, allow_nan=False)
    return {"content": [{"type": "text", "text": text}], "structuredContent": told, "isError": False}


def _unknown(name: Any) -> _Failed:
    return _Failed(INVALID_PARAMS, f"session_id: expected the id of an open session, got {name!r}")


def _answer(number: str | int | None, **outcome: Json) -> Json:
    return {"jsonrpc": "2.0", "id": number, **outcome}
