"""The routes of an OpenEnv server."""

from __future__ import annotations

from typing import cast

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from agora.errors import Refused
from agora.v1 import policy_pb2
from agora.version import software
from env_server.gateways.openenv.door import Door
from env_server.gateways.openenv.guard import Guard
from env_server.gateways.openenv.mcp import Mcp
from env_server.gateways.openenv.messages import Code, Json, Reset, StepRequest, code_of, fault, wrong
from env_server.gateways.openenv.talk import Talk, converse
from env_server.gateways.openenv.values import Schema

API_VERSION = "1.0.0"
"""Of OpenEnv's HTTP interface."""
SESSION_HEADER = "mcp-session-id"
_STATUS: dict[Code, int] = {"VALIDATION_ERROR": 422, "EXECUTION_ERROR": 500, "CAPACITY_REACHED": 503}


class Routes:
    """What is answered to whom. Plain HTTP requests each have a game of their own, sockets have one for their life."""

    def __init__(self, door: Door, name: str, description: str, schemas: dict[str, Schema]) -> None:
        self._door, self._name, self._description, self._schemas = door, name, description, schemas
        self._mcp = Mcp(door, name, schemas["action"])
        self._talk = Talk(door, self._mcp)

    def app(self) -> FastAPI:
        """The application that has them."""
        app = FastAPI(title=self._name, version=API_VERSION, docs_url=None, redoc_url=None)
        for path in ("health", "metadata", "schema", "state"):
            app.add_api_route(f"/{path}", getattr(self, path), methods=["GET"])
        app.add_api_route("/reset", self.reset, methods=["POST"])
        app.add_api_route("/step", self.step, methods=["POST"])
        app.add_api_route("/mcp", self.mcp, methods=["POST"], response_model=None)
        app.add_api_route("/mcp", self.leave, methods=["DELETE"], response_model=None)
        app.add_api_websocket_route("/ws", self.talk)
        app.add_api_websocket_route("/mcp", self.call)
        app.add_middleware(Guard)
        app.add_exception_handler(Refused, self._refuse)
        app.add_exception_handler(RequestValidationError, self._refuse)
        return app

    async def health(self) -> Json:
        """Whether the server works."""
        return {"status": "healthy"}

    async def metadata(self) -> Json:
        """What the game is."""
        return {"name": self._name, "description": self._description, "version": software()}

    async def schema(self) -> dict[str, Schema]:
        """JSON Schemas of actions, observations and the state."""
        return self._schemas

    async def state(self) -> Json:
        """The state of a game that nobody has begun."""
        async with self._door.visit() as seat:
            return seat.state()

    async def reset(self, asked: Reset | None = None) -> Json:
        """Start an episode in a game that ends with the answer; episodes of many steps go over /ws."""
        async with self._door.visit() as seat:
            return await seat.reset(asked or Reset())

    async def step(self, asked: StepRequest) -> Json:
        """Take the first step of a new episode, in a game that ends with the answer."""
        async with self._door.visit() as seat:
            await seat.reset(Reset(seed=asked.seed))
            return await seat.step(asked.action)

    async def mcp(self, request: Request) -> Response:
        """Model Context Protocol; initialize opens a game, which the header Mcp-Session-Id names from then on."""
        kept = request.headers.get(SESSION_HEADER)
        if kept is not None and self._door.find(kept) is None:
            return Response(status_code=404)
        answer = await self._mcp.hear(await request.body(), None, kept)
        if answer is None:
            return Response(status_code=202)
        begins = kept is None and "protocolVersion" in answer.get("result", {})
        return JSONResponse(answer, headers={SESSION_HEADER: await self._door.keep()} if begins else None)

    async def leave(self, request: Request) -> Response:
        """End the game that the header Mcp-Session-Id names."""
        found = await self._door.drop(request.headers.get(SESSION_HEADER, ""))
        return Response(status_code=204 if found else 404)

    async def talk(self, socket: WebSocket) -> None:
        """OpenEnv's messages, with a game as long as the socket lives."""
        await converse(socket, self._door, self._talk.answer, self._talk.refuse)

    async def call(self, socket: WebSocket) -> None:
        """Model Context Protocol, with a game as long as the socket lives."""
        await converse(socket, self._door, self._mcp.hear, self._mcp.refuse)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        refused = error if isinstance(error, Refused) else _wrong_body(error)
        code: Code = code_of(refused)
        load: dict[str, int] = {}
        if refused.reason == policy_pb2.REASON_CAPACITY:
            code, load = "CAPACITY_REACHED", self._door.load
        said = {"message": str(refused), "code": code, "detail": [fault(refused)], **load}
        return JSONResponse(said, status_code=_STATUS[code])


def _wrong_body(error: Exception) -> Refused:
    first = cast(RequestValidationError, error).errors()[0]
    return wrong(first["loc"][1:], first)
