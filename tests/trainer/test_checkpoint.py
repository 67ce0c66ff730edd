"""What a checkpoint keeps, in which order, and what is left when its writing breaks off."""

import os

import pytest
import torch

from trainer import checkpoint
from trainer.checkpoint import load_newest, next_epoch, save_checkpoint

STATE = {"counts": {"updates": 3, "done": [1.5, None]}, "actor": {"0": torch.arange(6.0).reshape(2, 3)}, "empty": {}}


def numbers(folder):
    return sorted(int(path.stem) for path in folder.glob("*.safetensors"))


def test_a_state_comes_back_as_it_was(tmp_path):
    assert load_newest(tmp_path) is None
    turned = {"turned": torch.arange(6).reshape(2, 3).T}  # not contiguous
    path = save_checkpoint(tmp_path / "made", 7, STATE | turned, keep=1)
    found = load_newest(tmp_path / "made")
    assert path == tmp_path / "made" / "000000007.safetensors"
    assert found["counts"] == STATE["counts"] and found["empty"] == {}
    assert torch.equal(found["actor"]["0"], STATE["actor"]["0"]) and torch.equal(found["turned"], turned["turned"])
    assert found.keys() == {"counts", "actor", "empty", "turned"}


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_stay_the_one_just_written_among_them(tmp_path, keep):
    for number in (1, 2, 9, 10, 100):
        save_checkpoint(tmp_path, number, {"number": number}, keep)
        assert load_newest(tmp_path) == {"number": number}
    assert numbers(tmp_path) == [1, 2, 9, 10, 100][-keep:]


def test_what_broke_off_leaves_the_ones_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"number": 1}, keep=1)

    def breaks(tensors, draft, metadata):
        draft.write_bytes(b"half a checkpoint")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(checkpoint, "_save", breaks)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 2, {"number": 2}, keep=1)
    assert load_newest(tmp_path) == {"number": 1} and numbers(tmp_path) == [1]


def test_a_full_disk_has_its_number(tmp_path):
    with pytest.raises(OSError) as caught:
        checkpoint._save({"x": torch.ones(1)}, tmp_path / "none" / "x", {"plain": "{}"})
    assert caught.value.errno == 2  # no such folder


@pytest.mark.parametrize("state", [{"a/b": 1}, {"a": {"b/c": torch.ones(1)}}])
def test_a_key_that_is_a_path_is_refused(tmp_path, state):
    with pytest.raises(ValueError, match=r"checkpoint key '(a/b|a/b/c)': expected no '/'"):
        save_checkpoint(tmp_path, 1, state, keep=1)
    assert not numbers(tmp_path)


def test_every_process_of_a_run_has_a_number_of_its_own(tmp_path):
    assert [next_epoch(tmp_path / "run") for _ in range(3)] == [1, 2, 3]
    assert (tmp_path / "run" / "epoch").read_text() == "3"
