"""The registry from the trainer's side."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Sequence
from typing import TypeVar

import grpc
import grpc.aio

from agora.channels import connect
from agora.errors import Unavailable, explain
from agora.v1 import policy_registry_pb2 as pb, policy_registry_pb2_grpc

log = logging.getLogger(__name__)

Request = TypeVar("Request")
Response = TypeVar("Response")

CALL_SECONDS = 10.0
LEAST_SECONDS = 2.0
"""Of the last try: with less it would find no more than that its time is up."""
_RETRIED = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class RegistryClient:
    """Publishes and lists versions. A registry that is down is waited for.

    Args:
        address: the registry's.
        patience_seconds: how long a call is tried again while nobody answers.
    """

    def __init__(self, address: str, patience_seconds: float = 60.0) -> None:
        self._address, self._patience = address, patience_seconds
        self._channel = connect(address)
        self._stub = policy_registry_pb2_grpc.PolicyRegistryServiceStub(self._channel)

    async def publish(self, manifest: pb.PolicyManifest, model: bytes) -> pb.PolicyManifest:
        """Publish a version; it is on the registry's disk when this returns. Publishing it again is harmless.

        Args:
            manifest: what it is; an empty sha256 is filled in.
            model: ONNX bytes.

        Returns:
            The manifest as stored.

        Raises:
            Refused: the registry does not accept it.
            Unavailable: the registry did not answer for ``patience_seconds``.
        """
        request = pb.PublishRequest(manifest=manifest, model=model)
        if not manifest.sha256:
            request.manifest.sha256 = hashlib.sha256(model).hexdigest()
        return (await self._call(self._stub.Publish, request)).manifest

    async def list(self, policy_id: str = "") -> Sequence[pb.ListResponse.Entry]:
        """Versions of a policy (or of all) in order, with what services reported of them.

        Raises:
            Refused: not a policy id.
            Unavailable: the registry did not answer for ``patience_seconds``.
        """
        return (await self._call(self._stub.List, pb.ListRequest(policy_id=policy_id))).entries

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close()

    async def _call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        until, backoff = time.monotonic() + self._patience, 0.1
        while True:
            try:
                return await method(request, timeout=min(CALL_SECONDS, max(until - time.monotonic(), LEAST_SECONDS)))
            except grpc.aio.AioRpcError as error:
                failure = explain(error, self._address)
                if error.code() not in _RETRIED:
                    raise failure from error
                if time.monotonic() + backoff > until:
                    why = f"the policy registry gave no answer for {self._patience:g} s: {failure}"
                    raise Unavailable(self._address, why) from error
                log.warning("trying again for %.0f s: %s", until - time.monotonic(), failure)
            await asyncio.sleep(backoff)
            backoff = min(2.0 * backoff, 1.0)
