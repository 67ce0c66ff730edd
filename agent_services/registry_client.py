"""Follows the registry: new versions are fetched, checked, tried and put to work beside the old ones."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import uuid
from collections.abc import Mapping, Sequence

import grpc
import grpc.aio

from agent_services.model_check import MAX_BYTES
from agent_services.policies import load
from agora.agents import metrics
from agora.agents.policy import Source, Spaces
from agora.agents.trial import try_out
from agora.agents.versions import NO_VERSION, Held, Shelf, Version
from agora.channels import connect
from agora.errors import Refused, refusal_in
from agora.spaces import from_proto, leaves
from agora.v1 import policy_pb2, policy_registry_pb2 as pb, policy_registry_pb2_grpc

log = logging.getLogger(__name__)

FETCH_SECONDS = 30.0
REPORT_SECONDS = 5.0
FIRST_BACKOFF, LAST_BACKOFF = 0.1, 2.0
PUSH_SECONDS = 0.25
"""A version that was published just now comes by itself; only for an older one the registry is asked for its list."""


class RegistryClient:
    """Keeps shelves filled from a registry, through any number of its restarts.

    Args:
        address: the registry's.
        shelves: what to keep filled.
        service: this service's own address, for reports.
    """

    def __init__(self, address: str, shelves: Sequence[Shelf], service: str) -> None:
        self._address, self._service = address, service
        self._shelves: Mapping[str, Shelf] = {shelf.policy_id: shelf for shelf in shelves}
        self._channel = connect(address)
        self._stub = policy_registry_pb2_grpc.PolicyRegistryServiceStub(self._channel)
        self._locks = {policy_id: asyncio.Lock() for policy_id in self._shelves}
        self._queues: dict[str, asyncio.Queue[pb.PolicyManifest]] = {p: asyncio.Queue() for p in self._shelves}
        for shelf in shelves:
            shelf.fetch = functools.partial(self._fetch_older, shelf)

    async def run(self) -> None:
        """Follow until cancelled."""
        log.info("following %s in the registry at %s", ", ".join(self._shelves), self._address)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch())
                for policy_id in self._shelves:
                    tasks.create_task(self._load_in_turn(policy_id))
        finally:
            await self._channel.close()

    async def _watch(self) -> None:
        backoff = FIRST_BACKOFF
        while True:
            why = "the stream ended"
            try:
                async for response in self._stub.Watch(pb.WatchRequest(policy_ids=list(self._shelves))):
                    backoff = FIRST_BACKOFF
                    manifest = response.manifest
                    if manifest.policy_id in self._queues:
                        self._queues[manifest.policy_id].put_nowait(manifest)
            except grpc.aio.AioRpcError as error:
                why = f"{error.code().name}: {error.details()}"
            log.warning("registry %s: %s; again in %.1f s", self._address, why, backoff)
            await asyncio.sleep(backoff)
            backoff = min(2.0 * backoff, LAST_BACKOFF)

    async def _load_in_turn(self, policy_id: str) -> None:
        shelf, queue = self._shelves[policy_id], self._queues[policy_id]
        while True:
            manifest = await queue.get()
            version = _version(manifest)
            if shelf.serving is not None and version < shelf.serving.version:
                continue  # late: it can still be asked for by number
            try:
                await self._take_in(shelf, manifest)
            except grpc.aio.AioRpcError as error:
                log.warning("%s %s: %s: %s", policy_id, version, error.code().name, error.details())
                await asyncio.sleep(FIRST_BACKOFF)
                if queue.empty():
                    queue.put_nowait(manifest)

    async def _take_in(self, shelf: Shelf, manifest: pb.PolicyManifest) -> None:
        """Load a version, unless it is here, and report what became of it.

        Raises:
            grpc.aio.AioRpcError: the model could not be read.
        """
        version = _version(manifest)
        async with self._locks[shelf.policy_id]:
            known = shelf.refused.get(version)
            again = known is None or known.reason != policy_pb2.REASON_MODEL  # bytes stay bad, other things may mend
            if again and not any(held.version == version for held in shelf.held()):
                await self._load(shelf, manifest)
        why = shelf.refused.get(version)
        if why is None and (shelf.serving is None or shelf.serving.version != version):
            return
        await self._report(shelf.policy_id, version, why)

    async def _load(self, shelf: Shelf, manifest: pb.PolicyManifest) -> None:
        version = _version(manifest)
        try:
            model = await self._read(manifest)
            held = await _build(shelf.kind.partition(":")[0], manifest, model)
            if held.spaces is not None:
                for seat in shelf.seats:
                    held.spaces.check_same(seat)
        except Refused as error:
            shelf.refuse(version, error)
            metrics.LOADS.labels(shelf.policy_id, "refused").inc()
            log.error("%s %d-%d refused: %s", shelf.policy_id, *version, error)
            return
        shelf.put(held)
        metrics.LOADS.labels(shelf.policy_id, "loaded").inc()
        if shelf.serving is held:
            metrics.VERSION.labels(shelf.policy_id, "epoch").set(version[0])
            metrics.VERSION.labels(shelf.policy_id, "step").set(version[1])
            log.info("%s %d-%d serves", shelf.policy_id, *version)

    async def _read(self, manifest: pb.PolicyManifest) -> bytes:
        request = pb.FetchRequest(policy_id=manifest.policy_id, version=manifest.version)
        model = bytearray()
        try:
            async for response in self._stub.Fetch(request, timeout=FETCH_SECONDS):
                model += response.chunk
                if len(model) > MAX_BYTES:
                    raise Refused(policy_pb2.REASON_MODEL, "model", f"at most {MAX_BYTES} bytes", "more")
        except grpc.aio.AioRpcError as error:
            raise refusal_in(error) or error from error
        found = hashlib.sha256(model).hexdigest()
        if found != manifest.sha256:
            raise Refused(policy_pb2.REASON_HASH, "sha256", manifest.sha256, found)
        return bytes(model)

    async def _fetch_older(self, shelf: Shelf, version: Version) -> None:
        """Bring a version in that is asked for by number; tries until cancelled, as the registry may be down."""
        await asyncio.sleep(PUSH_SECONDS)
        while version != NO_VERSION:
            try:
                listed = await self._stub.List(pb.ListRequest(policy_id=shelf.policy_id), timeout=FETCH_SECONDS)
                for entry in listed.entries:
                    if _version(entry.manifest) == version:
                        async with self._locks[shelf.policy_id]:
                            if not any(held.version == version for held in shelf.held()):
                                await self._load(shelf, entry.manifest)
                        return
                return  # not there yet; if it comes, Watch tells
            except grpc.aio.AioRpcError:
                await asyncio.sleep(FIRST_BACKOFF)

    async def _report(self, policy_id: str, version: Version, why: Refused | None) -> None:
        request = pb.ReportRequest(
            service=self._service,
            policy_id=policy_id,
            version=policy_pb2.PolicyVersion(epoch=version[0], step=version[1]),
            outcome=pb.REPORT_OUTCOME_SERVING if why is None else pb.REPORT_OUTCOME_REFUSED,
            refusal=None if why is None else why.to_proto(),
        )
        try:
            await self._stub.Report(request, timeout=REPORT_SECONDS)
        except grpc.aio.AioRpcError as error:  # after a reconnect Watch names the newest again, and so does a report
            log.warning("report of %s: %s", policy_id, error.code().name)


async def _build(kind: str, manifest: pb.PolicyManifest, model: bytes) -> Held:
    try:
        return await _try_to_build(kind, manifest, model)
    except Refused:
        raise
    except Exception as error:
        incident = uuid.uuid4().hex[:12]
        log.exception("incident %s in a model of %s", incident, manifest.policy_id)
        raise Refused(policy_pb2.REASON_MODEL, "model", "a model that loads", f"incident {incident}") from error


async def _try_to_build(kind: str, manifest: pb.PolicyManifest, model: bytes) -> Held:
    spaces = Spaces(
        leaves(from_proto(manifest.spec.observation_space, "spec.observation_space")),
        leaves(from_proto(manifest.spec.action_space, "spec.action_space")),
    )
    policy = await asyncio.to_thread(load, kind, Source(model=model))
    await try_out(policy, spaces)
    return Held(policy, _version(manifest), manifest.sha256, spaces, manifest.spec)


def _version(manifest: pb.PolicyManifest) -> Version:
    return manifest.version.epoch, manifest.version.step
