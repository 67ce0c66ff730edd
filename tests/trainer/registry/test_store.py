"""What is in the store is complete and stays as it is."""

import os

import pytest
from google.protobuf import json_format

from agora import files
from agora.errors import Refused
from agora.v1 import policy_pb2
from tests.support import models
from trainer.registry import store as module
from trainer.registry.store import Store

MODEL = models.constant_model(0.5)


def numbers(store, policy_id=""):
    return [(m.policy_id, m.version.epoch, m.version.step) for m in store.manifests(policy_id)]


def test_versions_are_ordered_by_number_not_by_arrival_or_text(tmp_path):
    store = Store(tmp_path)
    for epoch, step in ((1, 9), (2, 0), (1, 10)):
        store.add(models.manifest("a", epoch, step, MODEL), MODEL)
    assert numbers(store) == [("a", 1, 9), ("a", 1, 10), ("a", 2, 0)]
    assert store.newest("a").version == policy_pb2.PolicyVersion(epoch=2)
    assert store.newest("b") is None


def test_a_version_is_immutable_and_a_retry_is_harmless(tmp_path):
    store = Store(tmp_path)
    first, new = store.add(models.manifest("a", 1, 1, MODEL), MODEL)
    assert new and first.size_bytes == len(MODEL)
    again, new = store.add(models.manifest("a", 1, 1, MODEL), MODEL)
    assert not new and again == first
    other = models.constant_model(0.6)
    with pytest.raises(Refused, match="IMMUTABLE"):
        store.add(models.manifest("a", 1, 1, other), other)
    assert store.read("a", first.version) == MODEL


def test_what_was_acknowledged_is_found_again_and_what_is_partial_is_not(tmp_path):
    store = Store(tmp_path)
    for step in (1, 2, 3, 4):
        store.add(models.manifest("a", 1, step, MODEL), MODEL)
    (tmp_path / "a/1-2.json").unlink()  # the model came, the manifest did not
    (tmp_path / "a/1-3.onnx").write_bytes(MODEL[:-1])
    (tmp_path / "a/1-4.json").write_text("{")
    (tmp_path / "a/.1-5.json.part").write_text("{}")
    again = Store(tmp_path)
    assert numbers(again) == [("a", 1, 1)]
    assert again.read("a", policy_pb2.PolicyVersion(epoch=1, step=1)) == MODEL
    assert again.add(models.manifest("a", 1, 3, MODEL), MODEL)[1]
    assert numbers(Store(tmp_path)) == [("a", 1, 1), ("a", 1, 3)]


def test_a_manifest_under_another_name_is_ignored(tmp_path, caplog):
    store = Store(tmp_path)
    stored, _ = store.add(models.manifest("a", 1, 1, MODEL), MODEL)
    (tmp_path / "a/7-7.json").write_text(json_format.MessageToJson(stored))
    assert numbers(Store(tmp_path)) == [("a", 1, 1)]
    assert f"ignored {tmp_path}/a/7-7.json: CONFIG: path: expected {tmp_path}/a/1-1.json" in caplog.text


def no_spec(manifest):
    manifest.ClearField("spec")


def no_action_space(manifest):
    manifest.spec.ClearField("action_space")


BAD = {
    "path": (lambda m: setattr(m, "policy_id", "../a"), "UNKNOWN_POLICY", "manifest.policy_id"),
    "dots": (lambda m: setattr(m, "policy_id", ".."), "UNKNOWN_POLICY", "manifest.policy_id"),
    "empty": (lambda m: setattr(m, "policy_id", ""), "UNKNOWN_POLICY", "manifest.policy_id"),
    "zero": (lambda m: m.ClearField("version"), "OUT_OF_BOUNDS", "manifest.version"),
    "hash": (lambda m: setattr(m, "sha256", "0" * 64), "HASH", "manifest.sha256"),
    "size": (lambda m: setattr(m, "size_bytes", 3), "HASH", "manifest.size_bytes"),
    "spec": (no_spec, "SPEC_MISMATCH", "manifest.spec.observation_space"),
    "action": (no_action_space, "SPEC_MISMATCH", "manifest.spec.action_space"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_publication_is_refused_and_leaves_nothing(tmp_path, name):
    change, reason, field = BAD[name]
    manifest = models.manifest("a", 1, 1, MODEL)
    change(manifest)
    store = Store(tmp_path)
    with pytest.raises(Refused) as caught:
        store.add(manifest, MODEL)
    assert str(caught.value).startswith(reason) and caught.value.field == field
    assert caught.value.got == {"hash": "0" * 64, "size": "3"}.get(name, caught.value.got)
    assert not list(tmp_path.iterdir()) and not store.manifests()


def test_models_without_or_with_too_many_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.registry.store.MAX_BYTES", 10)
    for model in (b"", b"x" * 11):
        with pytest.raises(Refused, match="1 to 10 bytes"):
            Store(tmp_path).add(models.manifest("a", 1, 1, model), model)


def test_a_publication_without_a_hash_says_so_and_one_byte_is_a_model(tmp_path):
    manifest = models.manifest("a", 1, 1, b"x")
    assert Store(tmp_path).add(manifest, b"x")[1]
    manifest.ClearField("sha256")
    with pytest.raises(Refused, match=r"manifest\.sha256: expected [0-9a-f]{64}, the model's, got nothing"):
        Store(tmp_path).add(manifest, b"x")


def test_a_model_of_32_mib_is_taken_and_no_larger_one():
    model = bytes(32 * 1024 * 1024)
    module._check(models.manifest("a", 1, 1, model), model)
    with pytest.raises(Refused, match="1 to 33554432 bytes, got 33554433 bytes"):
        module._check(models.manifest("a", 1, 1, model), model + b"0")


def test_what_is_not_there_is_refused_in_words(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(Refused, match="UNKNOWN_POLICY"):
        store.read("a", policy_pb2.PolicyVersion(epoch=1))
    store.add(models.manifest("a", 1, 1, MODEL), MODEL)
    with pytest.raises(Refused, match=r"VERSION_UNAVAILABLE.*up to 1-1, got 9-0"):
        store.read("a", policy_pb2.PolicyVersion(epoch=9))


@pytest.mark.parametrize("suffix", [".onnx", ".json"])
def test_a_publication_that_breaks_off_at_a_file_is_none_and_can_be_made_again(tmp_path, monkeypatch, suffix):
    opened = Store(tmp_path)

    def breaking(path):
        if path.suffix == suffix:
            raise OSError(28, "No space left on device")
        return files.replacing(path)

    with monkeypatch.context() as broken, pytest.raises(OSError, match="No space left"):
        broken.setattr(module, "replacing", breaking)
        opened.add(models.manifest("a", 1, 1, MODEL), MODEL)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["1-1.onnx"] * (suffix == ".json")
    for store in (opened, Store(tmp_path)):
        assert not store.manifests() and store.newest("a") is None
    assert opened.add(models.manifest("a", 1, 1, MODEL), MODEL)[1]
    assert numbers(Store(tmp_path)) == [("a", 1, 1)]


def test_what_a_crash_left_is_replaced_by_what_is_published_then(tmp_path):
    """The version before is the newest one meanwhile; the model without a manifest was never promised to anyone."""
    before, lost, later = (models.constant_model(value) for value in (0.1, 0.2, 0.3))
    store = Store(tmp_path)
    store.add(models.manifest("a", 1, 1, before), before)
    store.add(models.manifest("a", 1, 2, lost), lost)
    (tmp_path / "a/1-2.json").unlink()
    again = Store(tmp_path)
    assert again.read("a", again.newest("a").version) == before
    with pytest.raises(Refused, match=r"VERSION_UNAVAILABLE.*up to 1-1, got 1-2"):
        again.read("a", policy_pb2.PolicyVersion(epoch=1, step=2))
    assert again.add(models.manifest("a", 1, 2, later), later)[1]
    for opened in (again, Store(tmp_path)):
        assert opened.read("a", opened.newest("a").version) == later


def test_a_store_makes_its_folder_and_takes_a_model_of_a_million_bytes(tmp_path):
    model = bytes(1_000_000)
    store = Store(tmp_path / "runs" / "policies")
    assert store.add(models.manifest("a", 1, 1, model), model)[0].size_bytes == 1_000_000
    assert Store(tmp_path / "runs" / "policies").read("a", policy_pb2.PolicyVersion(epoch=1, step=1)) == model


def test_the_folder_then_the_model_then_the_manifest_come_to_disk(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def sync(descriptor):
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    store = Store(tmp_path)
    store.add(models.manifest("a", 1, 1, MODEL), MODEL)
    assert synced == [".", "a/.1-1.onnx.draft", "a", "a/.1-1.json.draft", "a"]
    store.add(models.manifest("a", 1, 2, MODEL), MODEL)
    assert synced[5:] == ["a/.1-2.onnx.draft", "a", "a/.1-2.json.draft", "a"]
