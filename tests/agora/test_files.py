"""Files that are whole or not there, and disks that say what they refused."""

import errno
import os

import pytest

from agora.errors import Refused
from agora.files import check_folder, replacing, sync_folder, writing


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_it_is_whole_and_on_disk(tmp_path, monkeypatch):
    path, happened = tmp_path / "a.txt", []
    path.write_text("old")
    fsync, replace = os.fsync, type(tmp_path).replace

    def kind(descriptor):
        return "folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"

    monkeypatch.setattr(os, "fsync", lambda fd: (happened.append(f"sync {kind(fd)}"), fsync(fd)))
    monkeypatch.setattr(type(tmp_path), "replace", lambda *both: (happened.append("rename"), replace(*both)))
    with replacing(path) as draft:
        assert draft.parent == tmp_path and draft.name == ".a.txt.draft"
        draft.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new" and entries(tmp_path) == ["a.txt"]
    # The other way round, a crash in between leaves a name without its bytes.
    assert happened == ["sync file", "rename", "sync folder"]


@pytest.mark.parametrize("error", [ValueError("a fault"), KeyboardInterrupt()])
@pytest.mark.parametrize("written", [False, True])
def test_what_fails_half_way_leaves_what_was_there(tmp_path, error, written):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path) as draft:
        if written:
            draft.write_text("half")
        raise error
    assert path.read_text() == "old" and entries(tmp_path) == ["a.txt"]


def test_a_draft_that_nobody_wrote_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"\.a\.txt\.draft"), replacing(tmp_path / "a.txt"):
        pass
    assert entries(tmp_path) == []


def test_a_disk_that_is_full_says_of_which_file(tmp_path):
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.txt") as draft:
        draft.write_text("half")
        raise OSError(errno.ENOSPC, "a library's own words")
    assert caught.value.filename == str(tmp_path / ".a.txt.draft") and caught.value.errno == errno.ENOSPC
    assert caught.value.strerror == os.strerror(errno.ENOSPC) and entries(tmp_path) == []


def test_errors_that_name_a_file_or_are_no_systems_stay_as_they_are(tmp_path):
    for error in (OSError(errno.ENOSPC, "words", "other"), OSError("no number"), ValueError("x")):
        with pytest.raises(type(error)) as caught, writing(tmp_path / "a.txt"):
            raise error
        assert caught.value is error
    with writing(tmp_path / "a.txt"):
        pass


def test_a_folders_names_are_brought_to_disk_and_nothing_stays_open(tmp_path, monkeypatch):
    before = len(os.listdir("/proc/self/fd"))
    sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError(errno.EIO, "x")))
    with pytest.raises(OSError):
        sync_folder(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_is_made_and_tried(tmp_path):
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        check_folder(folder, "field")
        assert entries(folder) == []
    (tmp_path / "file").write_text("")
    for path, words in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "x", "Not a directory")):
        with pytest.raises(Refused) as caught:
            check_folder(path, "field")
        assert caught.value.field == "field" and caught.value.got == f"{path}: {words}"


def test_a_folder_in_which_nothing_can_be_written_is_refused(tmp_path, monkeypatch):
    def refuse(path, data):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "write_bytes", refuse)
    with pytest.raises(Refused, match=r"CONFIG: field: expected a folder that can be written, got .*Permission denied"):
        check_folder(tmp_path, "field")
