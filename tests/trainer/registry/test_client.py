"""How long the trainer waits for a registry, which answers end that, and what is sent. The socket is real."""

import asyncio
import hashlib
from types import SimpleNamespace

import grpc
import pytest

from agora.channels import SERVER_OPTIONS, bind
from agora.errors import Refused, Unavailable
from agora.interceptors import Boundary
from agora.v1 import policy_pb2, policy_registry_pb2 as pb, policy_registry_pb2_grpc
from trainer.registry import client as module
from trainer.registry.client import RegistryClient

NOT_BY_THE_CHANNEL = (("grpc-retry-pushback-ms", "-1"),)
DOWN, LATE, BROKEN = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.INTERNAL
KNOWN = Refused(policy_pb2.REASON_IMMUTABLE, "sha256", "one", "another")


class Scripted(policy_registry_pb2_grpc.PolicyRegistryServiceServicer):
    """Answers each call as the script says, then well; notes what came."""

    def __init__(self, *script):
        self.script, self.requests = list(script), []

    async def _take(self, request, context):
        self.requests.append(request)
        failure = self.script.pop(0) if self.script else None
        if isinstance(failure, Refused):
            raise failure
        if failure is not None:
            await context.abort(failure, "as the script says", NOT_BY_THE_CHANNEL)

    async def Publish(self, request, context):
        await self._take(request, context)
        return pb.PublishResponse(manifest=request.manifest)

    async def List(self, request, context):
        await self._take(request, context)
        return pb.ListResponse(entries=[pb.ListResponse.Entry(manifest=pb.PolicyManifest(policy_id="a"))])


def talk(registry, scene, patience=60.0):
    async def main():
        server = grpc.aio.server(options=SERVER_OPTIONS, interceptors=(Boundary(),))
        policy_registry_pb2_grpc.add_PolicyRegistryServiceServicer_to_server(registry, server)
        address = bind(server, "127.0.0.1:0")
        await server.start()
        client = RegistryClient(address, patience)
        try:
            return await scene(client)
        finally:
            await client.close()
            await server.stop(None)

    return asyncio.run(main())


@pytest.fixture
def clock(monkeypatch):
    """Time passes in the pauses between tries only, which are noted."""
    found = SimpleNamespace(now=0.0, pauses=[])

    async def sleep(seconds):
        found.pauses.append(seconds)
        found.now += seconds

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: found.now))
    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=sleep))
    return found


def test_a_publication_carries_the_models_hash():
    registry = Scripted()
    own = pb.PolicyManifest(policy_id="a", sha256="said")

    async def scene(client):
        return [await client.publish(manifest, b"model") for manifest in (pb.PolicyManifest(policy_id="a"), own)]

    stored = talk(registry, scene)
    assert [manifest.sha256 for manifest in stored] == [hashlib.sha256(b"model").hexdigest(), "said"]
    assert [request.model for request in registry.requests] == [b"model"] * 2


def test_one_policys_versions_or_all_are_listed():
    registry = Scripted()

    async def scene(client):
        return [*await client.list("a"), *await client.list()]

    assert [entry.manifest.policy_id for entry in talk(registry, scene)] == ["a", "a"]
    assert [request.policy_id for request in registry.requests] == ["a", ""]


def test_pauses_double_up_to_a_second(clock, caplog):
    registry = Scripted(DOWN, LATE, DOWN, DOWN, LATE, DOWN)
    assert len(talk(registry, lambda client: client.list())) == 1
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    first, *_, last = caplog.messages
    assert first.startswith("trying again for 60 s: ") and first.endswith("UNAVAILABLE: as the script says")
    assert last.startswith("trying again for 58 s: ") and len(caplog.messages) == 6  # 2.5 s were spent


@pytest.mark.parametrize("failure", [KNOWN, BROKEN])
def test_what_will_not_be_better_is_not_tried_again(clock, failure):
    registry = Scripted(failure)
    words = "sha256: expected one, got another" if failure is KNOWN else "INTERNAL: as the script says"
    with pytest.raises((Refused, Unavailable), match=words):
        talk(registry, lambda client: client.list())
    assert len(registry.requests) == 1 and not clock.pauses


def test_patience_is_not_outlasted_by_a_pause(clock):
    """After 0.1, 0.2, 0.4 and 0.8 s another second would end at 2.5 s."""
    registry = Scripted(*[DOWN] * 99)
    with pytest.raises(Unavailable, match=r"the policy registry gave no answer for 2\.4 s: .*as the script says"):
        talk(registry, lambda client: client.list(), patience=2.4)
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8]
    clock.pauses.clear()
    with pytest.raises(Unavailable):
        talk(Scripted(*[DOWN] * 99), lambda client: client.list(), patience=2.6)
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.0]


@pytest.mark.parametrize(("patience", "seconds"), [(60.0, [10.0, 10.0]), (7.0, [7.0, 6.9]), (2.05, [2.05, 2.0])])
def test_a_call_has_the_time_that_is_left_from_two_to_ten_seconds(clock, patience, seconds):
    """As the call is told, not as it is measured: the first, and the second after a pause of 0.1 s."""
    given = []

    async def scene(client):
        call = client._stub.List

        def told(request, timeout):
            given.append(timeout)
            return call(request, timeout=timeout)

        client._stub.List = told
        await client.list()

    talk(Scripted(DOWN), scene, patience)
    assert given == pytest.approx(seconds)
