"""Refusals survive the wire, in-band and as statuses of real calls."""

import asyncio

import grpc
import grpc.aio
import pytest

from agora.channels import SERVER_OPTIONS, bind, connect, is_local
from agora.errors import Refused, Unavailable, explain
from agora.interceptors import Boundary
from agora.v1 import policy_pb2, policy_registry_pb2 as pb, policy_registry_pb2_grpc

REFUSED = Refused(policy_pb2.REASON_UNKNOWN_POLICY, "policy_id", "a known policy", "'ghost'", retryable=True)


class Registry(policy_registry_pb2_grpc.PolicyRegistryServiceServicer):
    """Refuses one call, breaks on another, streams before it refuses."""

    async def List(self, request, context):
        raise REFUSED

    async def Publish(self, request, context):
        raise ZeroDivisionError("a secret of this process")

    async def Watch(self, request, context):
        yield pb.WatchResponse()
        raise REFUSED


@pytest.fixture
def failures():
    """Calls the three methods over a real socket and returns what they failed with."""

    async def call():
        server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
        policy_registry_pb2_grpc.add_PolicyRegistryServiceServicer_to_server(Registry(), server)
        address = bind(server, "127.0.0.1:0")
        await server.start()
        channel = connect(address)
        stub = policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel)
        found = {}
        for name, request in [("List", pb.ListRequest()), ("Publish", pb.PublishRequest())]:
            try:
                await getattr(stub, name)(request)
            except grpc.RpcError as error:
                found[name] = (error.code(), explain(error, address))
        try:
            async for _ in stub.Watch(pb.WatchRequest()):
                pass
        except grpc.RpcError as error:
            found["Watch"] = (error.code(), explain(error, address))
        await channel.close()
        await server.stop(None)
        return found

    return asyncio.run(call())


@pytest.mark.parametrize("method", ["List", "Watch"])
def test_a_refusal_arrives_whole(failures, method):
    code, error = failures[method]
    assert code == grpc.StatusCode.NOT_FOUND
    assert isinstance(error, Refused) and error.args == REFUSED.args and error.retryable


def test_a_fault_is_told_by_number_only(failures):
    code, error = failures["Publish"]
    assert code == grpc.StatusCode.INTERNAL
    assert isinstance(error, Refused) and "incident" in str(error) and "secret" not in str(error)


def test_who_is_not_there_is_unavailable():
    async def call():
        channel = connect("127.0.0.1:1")
        try:
            await policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel).List(pb.ListRequest(), timeout=5)
        except grpc.RpcError as error:
            return explain(error, "127.0.0.1:1")
        finally:
            await channel.close()

    error = asyncio.run(call())
    assert isinstance(error, Unavailable) and error.address == "127.0.0.1:1"


class Lonely(policy_registry_pb2_grpc.PolicyRegistryServiceServicer):
    """Waits in vain for somebody else; counts how often it is asked to."""

    asked = 0

    async def List(self, request, context):
        self.asked += 1
        raise Unavailable("somebody else", "gone")

    async def Watch(self, request, context):
        self.asked += 1
        raise Unavailable("somebody else", "gone")
        yield


@pytest.mark.parametrize(("method", "request_"), [("List", pb.ListRequest()), ("Watch", pb.WatchRequest())])
def test_a_wait_in_vain_is_told_once_and_not_begun_again_by_the_channel(method, request_):
    """Channels try again where nobody could be reached: here somebody was, and says so."""

    async def call():
        server, lonely = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),)), Lonely()
        policy_registry_pb2_grpc.add_PolicyRegistryServiceServicer_to_server(lonely, server)
        address = bind(server, "127.0.0.1:0")
        await server.start()
        async with connect(address) as channel:
            answer = getattr(policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel), method)(request_)
            with pytest.raises(grpc.RpcError) as caught:
                await (answer if method == "List" else answer.read())
        await server.stop(None)
        return caught.value.code(), explain(caught.value, address), lonely.asked

    code, error, asked = asyncio.run(call())
    assert code == grpc.StatusCode.UNAVAILABLE and isinstance(error, Refused) and error.field == "somebody else"
    assert asked == 1


def test_fields_nest():
    assert str(REFUSED.under("seats[0]")).startswith("UNKNOWN_POLICY: seats[0].policy_id: expected a known policy")


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1:1", True), ("localhost:0", True), ("[::1]:0", True), ("unix:/tmp/x", True),
     ("0.0.0.0:1", False), ("[::]:1", False), ("10.0.0.1:5", False), ("127.example:1", False)],
)  # fmt: skip
def test_only_loopback_is_local(address, local):
    assert is_local(address) is local


def test_other_addresses_need_a_word_and_taken_ones_are_named():
    async def call():
        server = grpc.aio.server(options=SERVER_OPTIONS)
        with pytest.raises(Refused, match=r"listen: expected a loopback address.*got 0\.0\.0\.0:0"):
            bind(server, "0.0.0.0:0")
        taken = bind(server, "127.0.0.1:0")
        await server.start()
        other = grpc.aio.server(options=SERVER_OPTIONS)
        with pytest.raises(Refused, match=f"that is free, got {taken}"):
            bind(other, taken)
        await server.stop(None)
        await other.stop(None)

    asyncio.run(call())
