"""Policy versions on disk: immutable, complete or absent.

``DIRECTORY/POLICY_ID/EPOCH-STEP.onnx`` is a model and ``EPOCH-STEP.json`` its manifest. The manifest is written last:
a model without one is what an interrupted publication left, and is ignored.
"""

from __future__ import annotations

import hashlib
import logging
import re
from pathlib import Path

from google.protobuf import json_format

from agora.errors import Refused
from agora.files import replacing, sync_folder
from agora.names import check_policy_id
from agora.spaces import from_proto, leaves
from agora.v1 import policy_pb2, policy_registry_pb2 as pb

log = logging.getLogger(__name__)

MAX_BYTES = 32 * 1024 * 1024
_FILE = re.compile(r"(\d+)-(\d+)\.json")

Version = tuple[int, int]
Key = tuple[str, Version]


def key_of(policy_id: str, version: policy_pb2.PolicyVersion) -> Key:
    """What a version is found by."""
    return policy_id, (version.epoch, version.step)


class Store:
    """The versions in a directory; what is complete there when it is opened, and what is added."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._manifests: dict[Key, pb.PolicyManifest] = dict(self._scan())

    def manifests(self, policy_id: str = "") -> list[pb.PolicyManifest]:
        """Manifests in order of policy id, then version; of one policy, or of all."""
        return [self._manifests[key] for key in sorted(self._manifests) if policy_id in ("", key[0])]

    def newest(self, policy_id: str) -> pb.PolicyManifest | None:
        """The newest version of a policy."""
        versions = self.manifests(policy_id)
        return versions[-1] if versions else None

    def get(self, policy_id: str, version: policy_pb2.PolicyVersion) -> pb.PolicyManifest:
        """A version's manifest.

        Raises:
            Refused: REASON_UNKNOWN_POLICY or REASON_VERSION_UNAVAILABLE.
        """
        check_policy_id(policy_id)
        key = key_of(policy_id, version)
        if key in self._manifests:
            return self._manifests[key]
        newest = self.newest(policy_id)
        if newest is None:
            raise Refused(policy_pb2.REASON_UNKNOWN_POLICY, "policy_id", "a policy that was published", policy_id)
        expected = f"a version that was published, up to {_text(key_of(policy_id, newest.version)[1])}"
        raise Refused(policy_pb2.REASON_VERSION_UNAVAILABLE, "version", expected, _text(key[1]))

    def read(self, policy_id: str, version: policy_pb2.PolicyVersion) -> bytes:
        """A version's model.

        Raises:
            Refused: there is no such version.
        """
        self.get(policy_id, version)
        return self._path(key_of(policy_id, version), ".onnx").read_bytes()

    def add(self, manifest: pb.PolicyManifest, model: bytes) -> tuple[pb.PolicyManifest, bool]:
        """Add a version; it is on disk when this returns. Adding the same again changes nothing.

        Returns:
            The manifest as stored, and whether it is new.

        Raises:
            Refused: the manifest is incomplete or does not fit the model, or the version exists with other bytes.
        """
        _check(manifest, model)
        key = key_of(manifest.policy_id, manifest.version)
        known = self._manifests.get(key)
        if known is not None:
            if known.sha256 != manifest.sha256:
                raise Refused(policy_pb2.REASON_IMMUTABLE, "sha256", known.sha256, manifest.sha256)
            return known, False
        stored = pb.PolicyManifest()
        stored.CopyFrom(manifest)
        stored.size_bytes = len(model)
        folder = self._path(key, ".onnx").parent
        if not folder.exists():
            folder.mkdir()
            sync_folder(self._directory)
        for suffix, data in ((".onnx", model), (".json", json_format.MessageToJson(stored).encode())):
            with replacing(self._path(key, suffix)) as draft:
                draft.write_bytes(data)
        self._manifests[key] = stored
        return stored, True

    def _path(self, key: Key, suffix: str) -> Path:
        return self._directory / key[0] / f"{key[1][0]}-{key[1][1]}{suffix}"

    def _scan(self) -> list[tuple[Key, pb.PolicyManifest]]:
        found = []
        for path in sorted(self._directory.glob("*/*.json")):
            try:
                manifest = json_format.Parse(path.read_bytes(), pb.PolicyManifest())
                key = key_of(manifest.policy_id, manifest.version)
                if self._path(key, ".json") != path or not _FILE.fullmatch(path.name):
                    raise Refused(policy_pb2.REASON_CONFIG, "path", str(self._path(key, ".json")), str(path))
                if self._path(key, ".onnx").stat().st_size != manifest.size_bytes:
                    raise Refused(policy_pb2.REASON_HASH, "size_bytes", str(manifest.size_bytes), "another size")
                found.append((key, manifest))
            except (OSError, json_format.ParseError, UnicodeDecodeError, Refused) as error:
                log.warning("ignored %s: %s", path, error)
        return found


def _check(manifest: pb.PolicyManifest, model: bytes) -> None:
    check_policy_id(manifest.policy_id, "manifest.policy_id")
    if not manifest.version.epoch and not manifest.version.step:
        expected = "epoch or step above 0; 0-0 stands for policies without versions"
        raise Refused(policy_pb2.REASON_OUT_OF_BOUNDS, "manifest.version", expected, "0-0")
    if not 1 <= len(model) <= MAX_BYTES:
        raise Refused(policy_pb2.REASON_MODEL, "model", f"1 to {MAX_BYTES} bytes", f"{len(model)} bytes")
    if manifest.size_bytes not in (0, len(model)):
        raise Refused(policy_pb2.REASON_HASH, "manifest.size_bytes", f"{len(model)} or 0", str(manifest.size_bytes))
    found = hashlib.sha256(model).hexdigest()
    if manifest.sha256 != found:
        raise Refused(policy_pb2.REASON_HASH, "manifest.sha256", f"{found}, the model's", manifest.sha256 or "nothing")
    leaves(from_proto(manifest.spec.observation_space, "manifest.spec.observation_space"))
    leaves(from_proto(manifest.spec.action_space, "manifest.spec.action_space"))


def _text(version: Version) -> str:
    return f"{version[0]}-{version[1]}"
