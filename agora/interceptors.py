"""What surrounds every RPC of every service: errors become statuses, calls are counted and timed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from prometheus_client import Counter, Histogram

from agora.errors import Refused, Unavailable, incident
from agora.v1 import policy_pb2

CALLS = Counter("agora_rpc_calls_total", "RPCs finished, by method and status.", ("method", "code"))
SECONDS = Histogram("agora_rpc_seconds", "Duration of RPCs; streams count from open to close.", ("method",))
_NO_RETRY = ("grpc-retry-pushback-ms", "-1")
"""A refusal is an answer: gRPC's own retries are for who cannot be reached, and would wait several times as long."""

Context = grpc.aio.ServicerContext[Any, Any]


class Boundary(grpc.aio.ServerInterceptor):
    """Maps ``Refused`` to its status, and anything unknown to INTERNAL with an incident number.

    The text of an unknown error stays in this process's log.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Wrap the handler that gRPC chose for a call."""
        handler = await continuation(handler_call_details)
        if handler is None or "/grpc." in handler_call_details.method:
            return handler
        method = handler_call_details.method
        if handler.response_streaming:
            wrapped = _streaming(handler.stream_stream or handler.unary_stream, method)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
            return make(wrapped, handler.request_deserializer, handler.response_serializer)
        return grpc.unary_unary_rpc_method_handler(
            _unary(handler.unary_unary, method), handler.request_deserializer, handler.response_serializer
        )


def _unary(behaviour: Callable[[Any, Context], Awaitable[Any]], method: str) -> Callable[[Any, Context], Any]:
    async def call(request: Any, context: Context) -> Any:
        start = time.perf_counter()
        try:
            response = await behaviour(request, context)
            CALLS.labels(method, "OK").inc()
            return response
        except Exception as error:
            await _abort(error, context, method)
        finally:
            SECONDS.labels(method).observe(time.perf_counter() - start)

    return call


def _streaming(
    behaviour: Callable[[Any, Context], AsyncIterator[Any]], method: str
) -> Callable[[Any, Context], AsyncIterator[Any]]:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        start = time.perf_counter()
        try:
            async for response in behaviour(request, context):
                yield response
            CALLS.labels(method, "OK").inc()
        except Exception as error:
            await _abort(error, context, method)
        finally:
            SECONDS.labels(method).observe(time.perf_counter() - start)

    return call


async def _abort(error: Exception, context: Context, method: str) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if isinstance(error, Unavailable):
        error = Refused(policy_pb2.REASON_UNREACHABLE, error.address, "an answer", error.why, retryable=True)
    if not isinstance(error, Refused):
        error = incident(error, method)
    CALLS.labels(method, error.status_code.name).inc()
    status = error.to_status()
    await context.abort(error.status_code, status.details or "", (*(status.trailing_metadata or ()), _NO_RETRY))
