"""Checkpoints: the newest stay, what is loaded is what was saved last, and what a kill leaves is passed over."""

import errno
import os

import pytest
import torch
from safetensors import SafetensorError

from trainer import checkpoint
from trainer.checkpoint import load_newest, next_epoch, save_checkpoint


def state(number):
    return {
        "count": number,
        "plain": {"list": [1, "a", None, 0.25], "none": None, "empty": {}},
        "weights": {"deep": {"w": torch.full((2, 3), float(number))}, "whole": torch.tensor([number, -1])},
    }


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_stay(tmp_path, keep):
    for number in (1, 2, 9, 10, 11):
        path = save_checkpoint(tmp_path, number, state(number), keep)
        assert path.exists() and load_newest(tmp_path)["count"] == number
    assert names(tmp_path) == [f"{number:09d}.safetensors" for number in (9, 10, 11)[-keep:]]


def test_numbers_are_ordered_as_numbers(tmp_path):
    for number in (99, 100, 1_000_000):
        save_checkpoint(tmp_path, number, state(number), 2)
    assert load_newest(tmp_path)["count"] == 1_000_000
    assert names(tmp_path) == ["000000100.safetensors", "001000000.safetensors"]


def test_state_goes_round_exactly(tmp_path):
    saved = state(3)
    saved["weights"]["flags"] = torch.tensor([True, False])
    saved["weights"]["turned"] = torch.arange(6.0, dtype=torch.float64).reshape(2, 3).T  # not contiguous
    saved["weights"]["learned"] = torch.ones(2, requires_grad=True)
    save_checkpoint(tmp_path / "new" / "folder", 1, saved, 1)
    found = load_newest(tmp_path / "new" / "folder")
    assert found["plain"] == saved["plain"] and found["count"] == 3
    assert found["weights"].keys() == saved["weights"].keys()
    for name in ("whole", "flags", "turned", "learned"):
        assert torch.equal(found["weights"][name], saved["weights"][name])
        assert found["weights"][name].dtype == saved["weights"][name].dtype
    assert torch.equal(found["weights"]["deep"]["w"], torch.full((2, 3), 3.0))


def test_without_one_there_is_none(tmp_path):
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "missing") is None


def test_the_same_number_again_takes_its_place(tmp_path):
    save_checkpoint(tmp_path, 1, state(5), 2)
    save_checkpoint(tmp_path, 1, state(6), 2)
    assert load_newest(tmp_path)["count"] == 6 and len(names(tmp_path)) == 1


def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path, monkeypatch):
    """Half a file, as a kill or a full disk leaves it, is never what is loaded; nor does it push out an older one."""
    save_checkpoint(tmp_path, 1, state(1), 1)

    def half(tensors, draft, metadata):
        draft.write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", half)
    with pytest.raises(OSError) as caught:
        save_checkpoint(tmp_path, 2, state(2), 1)
    assert caught.value.errno == errno.ENOSPC and "000000002" in caught.value.filename
    assert names(tmp_path) == ["000000001.safetensors"]
    (tmp_path / ".000000002.safetensors.draft").write_bytes(b"half")  # what a kill leaves
    assert load_newest(tmp_path)["count"] == 1


def test_it_is_whole_on_disk_before_it_has_its_name_and_before_older_ones_go(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, state(1), 1)
    synced, fsync = [], os.fsync

    def sync(descriptor):
        synced.append((os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")), names(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    save_checkpoint(tmp_path, 2, state(2), 1)
    first, second, draft = "000000001.safetensors", "000000002.safetensors", ".000000002.safetensors.draft"
    assert synced == [(draft, [draft, first]), (tmp_path.name, [first, second])]
    assert names(tmp_path) == [second]


def test_errors_that_are_not_the_disks_stay_what_they_are(tmp_path, monkeypatch):
    def wrong(tensors, draft, metadata):
        raise SafetensorError("no such thing")

    monkeypatch.setattr(checkpoint, "save_file", wrong)
    with pytest.raises(SafetensorError, match="no such thing"):
        save_checkpoint(tmp_path, 1, state(1), 1)
    assert not names(tmp_path)


@pytest.mark.parametrize("wrong", [{"a/b": 1}, {"deep": {"a/b": torch.zeros(1)}}])
def test_keys_that_would_be_paths_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"checkpoint key '(deep/)?a/b': expected no '/'"):
        save_checkpoint(tmp_path, 1, wrong, 1)
    assert not names(tmp_path)


def test_every_process_has_the_next_epoch(tmp_path):
    assert [next_epoch(tmp_path / "run") for _ in range(3)] == [1, 2, 3]
    (tmp_path / "run" / "epoch").write_text("41")
    assert next_epoch(tmp_path / "run") == 42
    save_checkpoint(tmp_path / "run", 1, state(1), 1)
    assert next_epoch(tmp_path / "run") == 43
