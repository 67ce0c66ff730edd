"""A bare grpcio bidirectional stream that answers every message with so many bytes: what services are held against.

``python -m bench.ping --listen ADDRESS --reply BYTES [--aio]`` is the peer process; ``round_trips`` is the caller.
"""

from __future__ import annotations

import argparse
import queue
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import grpc.aio
import uvloop
from grpc_health.v1 import health, health_pb2_grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

from agora.channels import CHANNEL_OPTIONS, SERVER_OPTIONS

METHOD = "/bench.Ping/Echo"


def _handler(behaviour: Any) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        "bench.Ping", {"Echo": grpc.stream_stream_rpc_method_handler(behaviour)}
    )


def serve(address: str, reply: bytes) -> None:
    """The textbook server: synchronous, a thread per stream."""

    def echo(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        for _ in requests:
            yield reply

    server = grpc.server(ThreadPoolExecutor(4), options=SERVER_OPTIONS)
    checker = health.HealthServicer()
    checker.set("", HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    server.add_generic_rpc_handlers((_handler(echo),))
    server.add_insecure_port(address)
    server.start()
    server.wait_for_termination()


async def serve_aio(address: str, reply: bytes) -> None:
    """The same on asyncio."""

    async def echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield reply

    server = grpc.aio.server(options=SERVER_OPTIONS)
    checker = health.aio.HealthServicer()
    await checker.set("", HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    server.add_generic_rpc_handlers((_handler(echo),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


def _untyped(channel: grpc.Channel) -> Any:
    return channel.stream_stream(METHOD)


class Pings:
    """Synchronous streams to several peers, asked all at once."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._channels = [grpc.insecure_channel(a, options=CHANNEL_OPTIONS) for a in addresses]
        self._out: list[queue.SimpleQueue[bytes | None]] = [queue.SimpleQueue() for _ in addresses]
        self._calls: list[Any] = [
            _untyped(channel)(iter(out.get, None)) for channel, out in zip(self._channels, self._out, strict=True)
        ]

    def seconds(self, message: bytes, times: int) -> list[float]:
        """Round-trip times of asking all peers ``times`` times."""
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            for out in self._out:
                out.put(message)
            for call in self._calls:
                next(call)
            taken.append(time.perf_counter() - start)
        return taken

    def close(self) -> None:
        """Hang up."""
        for out in self._out:
            out.put(None)
        for channel in self._channels:
            channel.close()


class AioPings:
    """The same on asyncio."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._channels = [grpc.aio.insecure_channel(a, options=CHANNEL_OPTIONS) for a in addresses]
        self._calls: list[Any] = [channel.stream_stream(METHOD)() for channel in self._channels]

    async def seconds(self, message: bytes, times: int) -> list[float]:
        """Round-trip times of asking all peers ``times`` times."""
        taken = []
        for _ in range(times):
            start = time.perf_counter()
            for call in self._calls:
                await call.write(message)
            for call in self._calls:
                await call.read()
            taken.append(time.perf_counter() - start)
        return taken

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--reply", type=int, required=True)
    parser.add_argument("--aio", action="store_true")
    chosen = parser.parse_args()
    if chosen.aio:
        uvloop.run(serve_aio(chosen.listen, bytes(chosen.reply)))
    else:
        serve(chosen.listen, bytes(chosen.reply))
