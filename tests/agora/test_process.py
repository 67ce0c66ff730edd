"""What every process does around its work: exit codes with a sentence, metrics, health, and a clean stop."""

import asyncio
import errno
import logging
import os
import re
import signal
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from agora import service as module
from agora.channels import connect
from agora.errors import Failed, Refused, Unavailable
from agora.service import Listening, run, serve, serve_metrics
from agora.v1 import policy_pb2

FULL = OSError(errno.ENOSPC, "No space left on device", "/x/log")
BUSY = OSError(errno.EADDRINUSE, "Address already in use")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (Refused(policy_pb2.REASON_CONFIG, "port", "a number", "'x'"), 2, "CONFIG: port: expected a number, got 'x'"),
        (Refused(policy_pb2.REASON_INTERNAL, "x", "no fault", "one"), 1, "INTERNAL: x: expected no fault, got one"),
        (Unavailable("host:1", "gone"), 1, "host:1: gone"),
        (Failed("the loss is nan"), 3, "the loss is nan"),
        (FULL, 74, "/x/log: No space left on device"),
        (BUSY, 1, "Address already in use"),
        (ExceptionGroup("two", [ExceptionGroup("in", [FULL]), Failed("x")]), 74, "/x/log: No space left on device"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_exit_codes_and_the_sentence(error, code, said, caplog, monkeypatch):
    async def main():
        raise error

    kept = []
    monkeypatch.setattr(module, "keep_memory", lambda: kept.append(True))
    with caplog.at_level(logging.INFO), pytest.raises(SystemExit) as ended:
        run(main, "x")
    assert ended.value.code == code and kept == [True]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [("ERROR", said)]


@pytest.mark.parametrize("error", [ValueError("a fault"), ExceptionGroup("two", [FULL, ValueError("a fault")])])
def test_faults_of_the_program_keep_their_traceback(error):
    async def main():
        raise error

    with pytest.raises(type(error)) as caught:
        run(main, "x")
    assert caught.value is error


def test_a_main_that_ends_is_no_failure():
    ran = []

    async def main():
        ran.append(type(asyncio.get_running_loop()).__module__)

    run(main, "x")
    assert ran == ["uvloop"]


def test_metrics_are_served_where_they_are_told():
    assert serve_metrics(None) == "off"
    address = serve_metrics(0)
    port = int(re.fullmatch(r"http://127\.0\.0\.1:(\d+)/metrics", address)[1])
    assert b"python_info" in urllib.request.urlopen(address).read()
    for wrong in (port, 70_000):
        with pytest.raises(Refused, match=f"CONFIG: metrics_port: expected a port that is free, got {wrong}:"):
            serve_metrics(wrong)


class Echo(grpc.GenericRpcHandler):
    """Answers when it is let."""

    def __init__(self):
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.answer)

    async def answer(self, request, context):
        self.asked.set()
        await self.let.wait()
        return request


async def status(channel, name):
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


@pytest.mark.parametrize("how", ["until", "SIGTERM", "SIGINT"])
def test_a_server_tells_its_health_and_finishes_what_it_was_asked(how):
    """``register`` may be a plain function or a coroutine."""
    happened = []

    async def talk():
        told, until, echo = asyncio.get_running_loop().create_future(), asyncio.Event(), Echo()

        def register(server, address):
            server.add_generic_rpc_handlers((echo,))
            told.set_result(address)

        async def register_later(server, address):
            register(server, address)

        async def on_stop():
            happened.append("stopped")

        serving = asyncio.create_task(
            serve(
                Listening(grace_seconds=60.0),
                register if how == "until" else register_later,
                ["a.B"],
                on_stop=on_stop,
                until=until if how == "until" else None,
            )
        )
        async with connect(await told) as channel:
            while True:  # until it serves
                try:
                    seen = [await status(channel, name) for name in ("", "a.B")]
                    break
                except grpc.aio.AioRpcError as error:
                    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE)
            assert seen == ["SERVING", "SERVING"]
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await status(channel, "c.D")
            assert unknown.value.code() == grpc.StatusCode.NOT_FOUND
            asking = asyncio.ensure_future(channel.unary_unary("/x/y")(b"hello", timeout=60))
            await echo.asked.wait()
            if how == "until":
                until.set()
            else:
                os.kill(os.getpid(), getattr(signal, how))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not serving.done() and happened == []
            echo.let.set()
            assert await asking == b"hello"
            await serving
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)

    asyncio.run(asyncio.wait_for(talk(), 100))
    assert happened == ["stopped"]


def test_other_machines_are_not_served_unless_that_was_asked_for():
    ended = asyncio.Event()
    ended.set()

    async def start(**changes):
        await serve(Listening(listen="0.0.0.0:0", **changes), lambda server, address: None, [], until=ended)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)

    with pytest.raises(Refused, match="CONFIG: listen: expected a loopback address"):
        asyncio.run(start())
    asyncio.run(start(insecure=True))
    assert Listening().listen == "127.0.0.1:0" and Listening().metrics_port is None
