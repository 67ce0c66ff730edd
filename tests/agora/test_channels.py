"""Addresses on which a server may listen."""

import asyncio

import grpc.aio
import pytest

from agora.channels import bind
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


def test_others_machines_need_permission():
    with pytest.raises(Refused, match="loopback"):
        listen("0.0.0.0:0")
    assert listen("0.0.0.0:0", insecure=True).startswith("0.0.0.0:")
