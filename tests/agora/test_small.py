"""Small things that every process shares: how gRPC waits, which memory is kept, and what compiled code is made of."""

import ctypes
import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium import spaces

from agora import memory, polling
from agora.codec import to_tensor
from agora.errors import Refused
from agora.reading import LeafReader
from agora.sources import digest
from agora.spaces import leaves


def test_who_set_how_grpc_waits_is_obeyed(monkeypatch):
    monkeypatch.delenv("GRPC_EXPERIMENTS", raising=False)
    polling.poll_sockets()
    assert polling.os.environ["GRPC_EXPERIMENTS"] == "-event_engine_client,-event_engine_listener"
    monkeypatch.setenv("GRPC_EXPERIMENTS", "other")
    polling.poll_sockets()
    assert polling.os.environ["GRPC_EXPERIMENTS"] == "other"


def test_memory_is_asked_for_by_glibcs_numbers(monkeypatch):
    """As malloc.h has them: M_MMAP_THRESHOLD is -3, M_TRIM_THRESHOLD -1 and M_TOP_PAD -2."""
    said = {}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=said.__setitem__))
    memory.keep_memory()
    assert said == {-3: 32 * 2**20, -1: 2**31 - 1, -2: 16 * 2**20}
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    memory.keep_memory()


def test_a_digest_is_of_all_sources_of_all_folders(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, name, text in ((one, "b.py", "b"), (one, "a.py", "a"), (two, "c.py", "c"), (one, "d.txt", "d")):
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert digest(one, two) == hashlib.sha256(b"abc").hexdigest() != digest(two, one)
    assert digest(one) == hashlib.sha256(b"ab").hexdigest()


def test_a_leaf_is_read_and_read_again_in_other_rows():
    (leaf,) = leaves(spaces.Box(0, 9, (2,), np.int32))
    reader = LeafReader(leaf, "x.y")
    for rows in (3, 3, 1, 3):
        values = np.arange(2 * rows, dtype=np.int32).reshape(rows, 2)
        read = reader.read(to_tensor(values), rows)
        assert read.tolist() == values.tolist() and read.dtype == np.int32 and not read.flags.writeable


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((3, 2), np.int64), "expected int32, got int64"),
        (np.zeros((2, 2), np.int32), r"expected \[3, 2\], got \[2, 2\]"),
        (np.zeros((2, 3), np.int32), r"expected \[3, 2\], got \[2, 3\]"),
        (np.full((3, 2), 10, np.int32), r"expected \[0, 9\], got 10"),
        (np.full((3, 2), -1, np.int32), r"expected \[0, 9\], got -1"),
    ],
)
def test_what_is_no_leaf_is_refused(values, words):
    (leaf,) = leaves(spaces.Box(0, 9, (2,), np.int32))
    with pytest.raises(Refused, match=rf"x\.y: {words}"):
        LeafReader(leaf, "x.y").read(to_tensor(values), 3)
    tensor = to_tensor(np.zeros((3, 2), np.int32))
    tensor.data = tensor.data[:-1]
    with pytest.raises(Refused, match=r"x\.y"):
        LeafReader(leaf, "x.y").read(tensor, 3)
