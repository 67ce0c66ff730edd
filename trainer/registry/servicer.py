"""The registry on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from agora.errors import Refused
from agora.interceptors import Context
from agora.names import check_policy_id
from agora.v1 import policy_pb2, policy_registry_pb2 as pb, policy_registry_pb2_grpc
from trainer.registry.store import Key, Store, key_of

CHUNK_BYTES = 1024 * 1024
MAX_REPORTS = 4_096
"""Services remembered per version; a report beyond is refused."""


@dataclass(eq=False)
class _Watcher:
    """One Watch stream; None in the queue ends it."""

    policy_ids: frozenset[str]
    queue: asyncio.Queue[pb.PolicyManifest | None] = field(default_factory=asyncio.Queue)


class RegistryServicer(policy_registry_pb2_grpc.PolicyRegistryServiceServicer):
    """agora.v1.PolicyRegistryService."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._adding = asyncio.Lock()
        self._watchers: set[_Watcher] = set()
        self._reports: dict[Key, dict[str, pb.ReportRequest]] = {}

    def stop_watches(self) -> None:
        """End all Watch streams: they would outlast any grace."""
        for watcher in self._watchers:
            watcher.queue.put_nowait(None)

    async def Publish(self, request: pb.PublishRequest, context: Context) -> pb.PublishResponse:
        """Add a version and tell who watches it."""
        async with self._adding:
            manifest, new = await asyncio.to_thread(self._store.add, request.manifest, request.model)
        if new:
            for watcher in self._watchers:
                if manifest.policy_id in watcher.policy_ids:
                    watcher.queue.put_nowait(manifest)
        return pb.PublishResponse(manifest=manifest)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.WatchResponse]:
        """The newest version of each policy, then every new one."""
        if not request.policy_ids:
            raise Refused(policy_pb2.REASON_SHAPE, "policy_ids", "at least one", "none")
        for number, policy_id in enumerate(request.policy_ids):
            check_policy_id(policy_id, f"policy_ids[{number}]")
        watcher = _Watcher(frozenset(request.policy_ids))
        self._watchers.add(watcher)
        try:
            for policy_id in dict.fromkeys(request.policy_ids):
                newest = self._store.newest(policy_id)
                if newest is not None:
                    watcher.queue.put_nowait(newest)
            while (manifest := await watcher.queue.get()) is not None:
                yield pb.WatchResponse(manifest=manifest)
        finally:
            self._watchers.discard(watcher)

    async def Fetch(self, request: pb.FetchRequest, context: Context) -> AsyncIterator[pb.FetchResponse]:
        """A model in pieces."""
        model = await asyncio.to_thread(self._store.read, request.policy_id, request.version)
        for start in range(0, len(model), CHUNK_BYTES):
            yield pb.FetchResponse(chunk=model[start : start + CHUNK_BYTES])

    async def Report(self, request: pb.ReportRequest, context: Context) -> pb.ReportResponse:
        """Note what became of a version in a service."""
        if not request.service:
            raise Refused(policy_pb2.REASON_SHAPE, "service", "the service's address", "nothing")
        if request.outcome not in (pb.REPORT_OUTCOME_SERVING, pb.REPORT_OUTCOME_REFUSED):
            raise Refused(policy_pb2.REASON_UNSUPPORTED, "outcome", "SERVING or REFUSED", str(request.outcome))
        self._store.get(request.policy_id, request.version)
        reports = self._reports.setdefault(key_of(request.policy_id, request.version), {})
        if request.service not in reports and len(reports) >= MAX_REPORTS:
            raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "service", f"at most {MAX_REPORTS} services", "one more")
        reports[request.service] = request
        return pb.ReportResponse()

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Versions and their reports."""
        if request.policy_id:
            check_policy_id(request.policy_id)
        response = pb.ListResponse()
        for manifest in self._store.manifests(request.policy_id):
            reports = self._reports.get(key_of(manifest.policy_id, manifest.version), {})
            response.entries.add(manifest=manifest, reports=reports.values())
        return response
