"""Addresses on which a server may listen, and how a channel gets to one."""

import asyncio
import queue
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from agora.channels import bind, check_address, connect, connect_blocking
from agora.conformance.doors import plain_channel
from agora.errors import Refused


def listen(address, **more):
    async def attempt():
        server = grpc.aio.server()
        try:
            return bind(server, address, **more)
        finally:
            await server.stop(None)

    return asyncio.run(attempt())


def test_a_free_port_is_told():
    host, _, port = listen("127.0.0.1:0").rpartition(":")
    assert host == "127.0.0.1" and 0 < int(port) < 65_536


@pytest.mark.parametrize("address", ["127.0.0.1:99999", "127.0.0.1", "localhost:http", "127.0.0.1:-1"])
def test_a_port_that_there_is_not_is_refused(address):
    with pytest.raises(Refused, match="HOST:PORT with a port up to 65535"):
        listen(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:1", "a-host.svc:65535", "[::1]:7", "[fe80::1%eth0]:7", "unix:/tmp/a:b", "dns:///a:1", "ipv4:1.2.3.4:5"],
)
def test_addresses(address):
    assert check_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        *(
            "host",
            "host:",
            "host:0",
            "host:65536",
            "host:http",
            "host:1 ",
            "host:-1",
            "host:٣",
            "::1:7",
            "[::1]",
            "a b:1",
        ),
        *("", ":1", "unix:", "http://host:1", None, 7),
    ],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(Refused, match=r"where: expected HOST:PORT, \[IPV6\]:PORT or unix:PATH, got "):
        check_address(address, "where")


def test_others_machines_need_permission():
    with pytest.raises(Refused, match="loopback"):
        listen("0.0.0.0:0")
    assert listen("0.0.0.0:0", insecure=True).startswith("0.0.0.0:")


@pytest.fixture
def healthy():
    """The port of a server that tells its health on every address of this machine."""
    server = grpc.server(ThreadPoolExecutor(1))
    checker = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    port = server.add_insecure_port("0.0.0.0:0")
    server.start()
    yield port
    server.stop(0).wait()


@pytest.fixture
def proxy():
    """A proxy that knows nobody, and the first line that each of its callers said."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        said = queue.SimpleQueue()

        def refuse():
            with suppress(OSError):
                while True:
                    caller, _ = listener.accept()
                    with caller:
                        said.put(caller.recv(4096).split(b"\r\n")[0].decode())
                        caller.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", said
        listener.shutdown(socket.SHUT_RDWR)


def ask(channel):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=20)


def blocking(address):
    with connect_blocking(address) as channel:
        return ask(channel).status


def asynchronous(address):
    async def call():
        async with connect(address) as channel:
            return (await ask(channel)).status

    return asyncio.run(call())


def conformance(address):
    async def call():
        async with plain_channel(address) as channel:
            return (await ask(channel)).status

    return asyncio.run(call())


VARIABLES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy")


@pytest.mark.parametrize("call", [blocking, asynchronous, conformance])
@pytest.mark.parametrize(
    ("host", "variables"),
    [("127.0.0.1", (*VARIABLES, "grpc_proxy")), ("localhost", (*VARIABLES, "grpc_proxy")), ("0.0.0.0", VARIABLES)],
)
def test_a_proxy_for_web_pages_is_not_asked(call, host, variables, healthy, proxy, monkeypatch):
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        monkeypatch.setenv(name, proxy[0])
    assert call(f"{host}:{healthy}") == health_pb2.HealthCheckResponse.SERVING
    assert proxy[1].empty()


@pytest.mark.parametrize("call", [blocking, asynchronous, conformance])
def test_a_proxy_for_grpc_is_asked_for_other_machines(call, healthy, proxy, monkeypatch):
    monkeypatch.setenv("grpc_proxy", proxy[0])
    with pytest.raises(grpc.RpcError):
        call(f"0.0.0.0:{healthy}")
    assert proxy[1].get(timeout=20) == f"CONNECT 0.0.0.0:{healthy} HTTP/1.1"
    monkeypatch.setenv("no_grpc_proxy", "0.0.0.0")
    assert call(f"0.0.0.0:{healthy}") == health_pb2.HealthCheckResponse.SERVING
