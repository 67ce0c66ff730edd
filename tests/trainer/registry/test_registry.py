"""The registry as a process: publish, watch, fetch, report, list, kill, restart."""

import asyncio
import hashlib

import grpc
import pytest

from agora.channels import connect
from agora.errors import Refused, Unavailable, explain
from agora.v1 import policy_pb2, policy_registry_pb2 as pb, policy_registry_pb2_grpc
from bench.processes import Service, free_address
from tests.support import models
from trainer.registry import client as module
from trainer.registry.client import RegistryClient

MODEL = models.price_model()


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    with Service("trainer.registry", ["--directory", str(tmp_path_factory.mktemp("policies"))]) as service:
        yield service


def talk(address, scene):
    async def main():
        client = RegistryClient(address, patience_seconds=20.0)
        async with connect(address) as channel:
            try:
                return await scene(client, policy_registry_pb2_grpc.PolicyRegistryServiceStub(channel))
            finally:
                await client.close()

    return asyncio.run(main())


def test_a_watcher_gets_the_newest_first_and_then_every_new_version(registry):
    async def scene(client, stub):
        for step in (1, 2):
            await client.publish(models.manifest("watched", 1, step, MODEL), MODEL)
        watch = stub.Watch(pb.WatchRequest(policy_ids=["watched", "later"]))
        seen = [await watch.read()]
        for policy_id, step in (("watched", 3), ("other", 1), ("later", 1), ("watched", 4)):
            await client.publish(models.manifest(policy_id, 1, step, MODEL), MODEL)
            await client.publish(models.manifest(policy_id, 1, step, MODEL), MODEL)  # a retry is not news
        seen += [await watch.read() for _ in range(3)]
        watch.cancel()
        return [(w.manifest.policy_id, w.manifest.version.step) for w in seen]

    assert talk(registry.address, scene) == [("watched", 2), ("watched", 3), ("later", 1), ("watched", 4)]


def test_a_large_model_comes_back_in_pieces(registry):
    model = bytes(range(256)) * 10_000

    async def scene(client, stub):
        stored = await client.publish(models.manifest("large", 1, 1, model), model)
        assert stored.size_bytes == len(model)
        return [r.chunk async for r in stub.Fetch(pb.FetchRequest(policy_id="large", version=stored.version))]

    pieces = talk(registry.address, scene)
    assert len(pieces) == 3 and b"".join(pieces) == model


def test_the_last_report_of_each_service_is_listed(registry):
    refusal = policy_pb2.Refusal(reason=policy_pb2.REASON_MODEL, message="nonsense")

    async def scene(client, stub):
        stored = await client.publish(models.manifest("reported", 1, 1, MODEL), MODEL)
        for service, outcome in (("a", 2), ("b", 1), ("a", 1), ("c", 2)):
            why = refusal if outcome == pb.REPORT_OUTCOME_REFUSED else None
            report = pb.ReportRequest(
                service=service, policy_id="reported", version=stored.version, outcome=outcome, refusal=why
            )
            await stub.Report(report)
        (entry,) = await client.list("reported")
        return {r.service: (r.outcome, r.refusal.message) for r in entry.reports}

    assert talk(registry.address, scene) == {"a": (1, ""), "b": (1, ""), "c": (2, "nonsense")}


def refusals():
    version = policy_pb2.PolicyVersion(epoch=9)
    return {
        "watch nothing": (lambda s: s.Watch(pb.WatchRequest()).read(), "policy_ids", "INVALID_ARGUMENT"),
        "watch a path": (
            lambda s: s.Watch(pb.WatchRequest(policy_ids=["a", "../b"])).read(),
            "policy_ids[1]",
            "NOT_FOUND",
        ),
        "fetch": (
            lambda s: s.Fetch(pb.FetchRequest(policy_id="nobody", version=version)).read(),
            "policy_id",
            "NOT_FOUND",
        ),
        "list": (lambda s: s.List(pb.ListRequest(policy_id="a b")), "policy_id", "NOT_FOUND"),
        "report by nobody": (lambda s: s.Report(pb.ReportRequest(policy_id="a")), "service", "INVALID_ARGUMENT"),
        "report nothing": (lambda s: s.Report(pb.ReportRequest(service="a")), "outcome", "UNIMPLEMENTED"),
        "publish": (lambda s: s.Publish(pb.PublishRequest()), "manifest.policy_id", "NOT_FOUND"),
    }


@pytest.mark.parametrize("name", refusals())
def test_bad_calls_get_a_status_that_names_the_field(registry, name):
    call, field, code = refusals()[name]

    async def scene(client, stub):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(stub)
        refused = explain(caught.value, registry.address)
        assert isinstance(refused, Refused) and refused.field == field
        assert caught.value.code().name == code
        await client.list()

    talk(registry.address, scene)


def test_an_existing_version_with_other_bytes_is_refused(registry):
    async def scene(client, stub):
        await client.publish(models.manifest("fixed", 1, 1, MODEL), MODEL)
        other = models.price_model(seed=1)
        with pytest.raises(Refused, match="IMMUTABLE"):
            await client.publish(models.manifest("fixed", 1, 1, other), other)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Publish(pb.PublishRequest(manifest=models.manifest("fixed", 1, 1, other), model=other))
        assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS

    talk(registry.address, scene)


def test_what_was_acknowledged_survives_kill_and_a_publisher_waits_for_the_restart(tmp_path, monkeypatch):
    service = Service("trainer.registry", ["--directory", str(tmp_path)]).start()
    again = Service("trainer.registry", ["--directory", str(tmp_path)], service.address)

    async def scene(client, stub):
        for step in range(1, 6):
            await client.publish(models.manifest("a", 1, step, MODEL), MODEL)
        service.kill()
        failed = asyncio.Event()
        monkeypatch.setattr(module.log, "warning", lambda *_: failed.set())
        publishing = asyncio.create_task(client.publish(models.manifest("a", 2, 0, MODEL), MODEL))
        await failed.wait()
        await asyncio.to_thread(again.start)
        await publishing
        watch = stub.Watch(pb.WatchRequest(policy_ids=["a"]))
        assert (await watch.read()).manifest.version.epoch == 2
        watch.cancel()
        return [(e.manifest.version.epoch, e.manifest.version.step, e.manifest.sha256) for e in await client.list("a")]

    try:
        found = talk(service.address, scene)
    finally:
        again.stop()
    digest = hashlib.sha256(MODEL).hexdigest()
    assert found == [*((1, step, digest) for step in range(1, 6)), (2, 0, digest)]


def test_a_registry_that_stays_away_is_reported():
    async def main():
        client = RegistryClient(free_address(), patience_seconds=0.3)
        try:
            await client.list()
        finally:
            await client.close()

    with pytest.raises(Unavailable, match=r"registry gave no answer for 0.3 s: .*UNAVAILABLE: failed to connect"):
        asyncio.run(main())


def test_a_watch_does_not_hold_up_the_end(tmp_path):
    service = Service("trainer.registry", ["--directory", str(tmp_path)]).start()

    async def scene(client, stub):
        await client.publish(models.manifest("a", 1, 1, MODEL), MODEL)
        watch = stub.Watch(pb.WatchRequest(policy_ids=["a"]))
        assert (await watch.read()).manifest.policy_id == "a"  # so it is watching
        reading = asyncio.ensure_future(watch.read())
        code = await asyncio.to_thread(service.stop)
        assert await reading is grpc.aio.EOF  # ended, and not cut off when the server's patience was over
        return code

    assert talk(service.address, scene) == 0
