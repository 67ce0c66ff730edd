"""What is turned away before any route sees it: bodies that are too big, and pages that a browser has open."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agora.channels import MAX_MESSAGE_BYTES, is_local


class Guard:
    """Stands before an application.

    Browsers name the page that asks, and a page from elsewhere has no business with a server on loopback, by
    whatever name it reached it; other clients name none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if _is_foreign(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse("pages from elsewhere are not served", 403)(scope, receive, send)
            return
        await self._app(scope, _bounded(receive) if scope["type"] == "http" else receive, send)


def _is_foreign(scope: Scope) -> bool:
    origins = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"origin"]
    try:
        return any(not is_local(f"{urlsplit(origin).hostname}:0") for origin in origins)
    except ValueError:  # no address at all
        return True


def _bounded(receive: Receive) -> Receive:
    taken = 0

    async def take() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MAX_MESSAGE_BYTES:
            raise HTTPException(413, f"expected at most {MAX_MESSAGE_BYTES} bytes")
        return message

    return take
