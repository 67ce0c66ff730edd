"""The web app: who may ask, what every answer carries, and what an error looks like."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from analysis.scml.pages import router
from analysis.scml.render import page
from analysis.scml.runs import NotThereError
from analysis.scml.tables import BrokenTableError

LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")
"""Host names that a browser on this machine uses; others are a page elsewhere that resolves to this machine."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def create_app(root: Path, hosts: Sequence[str] = LOOPBACK_NAMES) -> FastAPI:
    """The app over a folder of runs, or over one run's folder.

    Args:
        root: the folder.
        hosts: names under which it may be asked; "*" is any.
    """
    app = FastAPI(title="Agora analyzer", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.root = root
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.middleware("http")(_with_headers)
    app.mount("/static", StaticFiles(packages=[("analysis.scml", "static")]))
    app.include_router(router)
    app.add_exception_handler(NotThereError, _not_there)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(BrokenTableError, _broken)
    app.add_exception_handler(NotADirectoryError, _broken)
    return app


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(HEADERS)
    return response


def _error(request: Request, status: int, title: str, words: str) -> Response:
    return page(request, "error.html.j2", status=status, title=title, words=words)


async def _not_there(request: Request, error: Exception) -> Response:
    return _error(request, 404, "Not there", str(error))


async def _broken(request: Request, error: Exception) -> Response:
    return _error(request, 500, "This run cannot be read", str(error))


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return _error(request, 404, "Not there", f"There is no page {request.url.path}.")
    return _error(request, status, "Refused", str(error.detail if isinstance(error, HTTPException) else error))


async def _not_understood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  how Starlette types its handlers
    first = error.errors()[0]
    where, name = first["loc"][0], first["loc"][-1]
    words = f"{name}: {first['msg']}; got {str(first['input'])[:80]!r}."
    if where == "path":
        return _error(request, 404, "Not there", words)
    return _error(request, 400, "Not understood", words)
