"""What channels and servers do that gRPC's own would not."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import grpc.aio
import pytest

from agora.channels import CHANNEL_OPTIONS, MAX_MESSAGE_BYTES, SERVER_OPTIONS, bind, connect_blocking, is_local
from agora.errors import Refused

CALL = "/tests.Any/Call"


class Handler(grpc.GenericRpcHandler):
    """Fails as often as told, then answers with who asks and how much came."""

    def __init__(self, failures=0):
        self.calls, self.failures = 0, failures

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request, context):
        self.calls += 1
        if self.calls <= self.failures:
            context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
        return f"{context.peer()} {len(request)}".encode()


@pytest.fixture
def serve():
    servers = []

    def start(handler):
        server = grpc.server(ThreadPoolExecutor(2), options=SERVER_OPTIONS)
        server.add_generic_rpc_handlers((handler,))
        servers.append(server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(0).wait()


def call(channel, request=b""):
    return channel.unary_unary(CALL)(request, timeout=60).decode()


def test_a_call_is_tried_four_times(serve):
    for failures in (3, 4):
        handler = Handler(failures)
        with connect_blocking(serve(handler)) as channel:
            if failures == 3:
                assert call(channel)
            else:
                with pytest.raises(grpc.RpcError) as caught:
                    call(channel)
                assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert handler.calls == 4


def test_every_channel_has_a_connection_of_its_own(serve):
    address = serve(Handler())
    with connect_blocking(address) as one, connect_blocking(address) as other:
        assert call(one) == call(one) != call(other)


def test_messages_may_be_larger_than_grpcs_four_mebibytes(serve):
    with connect_blocking(serve(Handler())) as channel:
        assert call(channel, bytes(5 << 20)).endswith(f" {5 << 20}")
        with pytest.raises(grpc.RpcError) as caught:
            call(channel, bytes(MAX_MESSAGE_BYTES + 1))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def listen(*addresses):
    async def attempt():
        servers = [grpc.aio.server(options=SERVER_OPTIONS) for _ in addresses]
        try:
            told = [bind(server, address) for server, address in zip(servers, addresses, strict=True)]
            again = grpc.aio.server(options=SERVER_OPTIONS)
            with pytest.raises(Refused, match="CONFIG: listen: expected an address that is free"):
                bind(again, told[0])
            return told
        finally:
            for server in servers:
                await server.stop(None)

    return asyncio.run(attempt())


def test_an_address_has_one_server(tmp_path):
    (told,) = listen("127.0.0.1:0")
    assert told.startswith("127.0.0.1:")
    (told,) = listen("localhost:0")
    assert told.startswith("localhost:") and not told.endswith(":0")


def test_the_last_port_is_one():
    with pytest.raises(Refused, match="a port up to 65535"):
        listen("127.0.0.1:65536")
    try:
        assert listen("127.0.0.1:65535") == ["127.0.0.1:65535"]
    except Refused as refused:  # somebody else has it, so it was tried
        assert "that is free" in str(refused)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("127.0.0.1:1", True), ("127.9.9.9:1", True), ("localhost:1", True), ("[::1]:1", True), ("unix:/x", True),
        ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:1", False), ("localhost.example:1", False), ("a:1", False),
    ],
)  # fmt: skip
def test_what_is_of_this_machine_only(address, local):
    assert is_local(address) == local


def test_silence_is_told_from_death():
    """A frozen peer is noticed after 10 s of silence and 2 s without an answer, and servers bear such questions.

    gRPC takes the larger of its two limits for the answer, so both are set; reconnecting takes a second at most.
    """
    channel, server = dict(CHANNEL_OPTIONS), dict(SERVER_OPTIONS)
    for options in (channel, server):
        assert options["grpc.keepalive_time_ms"] == 10_000
        assert options["grpc.keepalive_timeout_ms"] == options["grpc.http2.ping_timeout_ms"] == 2_000
        assert options["grpc.http2.max_pings_without_data"] == 0  # as many as one likes
    assert server["grpc.http2.min_ping_interval_without_data_ms"] == 5_000
    assert [channel[f"grpc.{name}_reconnect_backoff_ms"] for name in ("initial", "min", "max")] == [50, 50, 1_000]
    assert MAX_MESSAGE_BYTES == 64 * 1024 * 1024
    for options in (channel, server):
        assert options["grpc.max_send_message_length"] == options["grpc.max_receive_message_length"] == 64 * 2**20
