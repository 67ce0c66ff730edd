"""Where and of what a figure was taken: a repository of its own."""

from __future__ import annotations

import subprocess

import pytest

from bench import provenance


@pytest.fixture
def repository(tmp_path):
    def git(*words):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=tmp_path, check=True)

    (tmp_path / "code.py").write_text("a = 1\n")
    (tmp_path / "result.json").write_text("{}\n")
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "first")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tmp_path, capture_output=True, text=True, check=True)
    return tmp_path, head.stdout.strip()


def commit(repository, *names):
    return provenance.commit([repository / name for name in names], repository)


def test_what_was_measured_is_committed(repository):
    folder, head = repository
    assert commit(folder, "code.py") == head


def test_an_earlier_result_is_no_change(repository):
    folder, head = repository
    (folder / "result.json").write_text('{"holds": true}\n')
    (folder / "notes.txt").write_text("new\n")
    assert commit(folder, "code.py") == head


def test_changed_code_is_one(repository):
    folder, head = repository
    (folder / "code.py").write_text("a = 2\n")
    assert commit(folder, "code.py") == f"{head} with changes"


def test_code_that_the_commit_lacks_is_one(repository):
    folder, head = repository
    (folder / "speed.py").write_text("b = 1\n")
    assert commit(folder, "code.py", "speed.py") == f"{head} with changes"


def test_without_files_nothing_is_changed(repository):
    folder, head = repository
    (folder / "code.py").write_text("a = 2\n")
    assert provenance.commit([], folder) == head


def test_outside_a_repository(tmp_path):
    assert provenance.commit([tmp_path / "code.py"], tmp_path) == "unknown"


def test_without_git(repository, monkeypatch):
    folder, _ = repository
    monkeypatch.setenv("PATH", "")
    assert commit(folder, "code.py") == "unknown"


def test_the_machine(monkeypatch):
    monkeypatch.setattr(provenance.os, "getloadavg", lambda: (2.5, 1.0, 0.5))
    monkeypatch.setattr(provenance.os, "sched_getaffinity", lambda process: {0: 5, 3: 6}[process] * [0])
    found = provenance.machine()
    assert found["load"] == 2.5 and found["cores"] == 5
    assert found["processor"] and "\n" not in found["processor"]


@pytest.mark.parametrize(
    ("told", "processor"),
    [
        ("processor : 0\nmodel name\t: First One @ 3 GHz\nprocessor : 1\nmodel name : Other\n", "First One @ 3 GHz"),
        ("processor : 0\n", "riscv64"),
        (None, "riscv64"),
    ],
)
def test_the_processor_is_the_first_that_the_system_names(monkeypatch, tmp_path, told, processor):
    if told is not None:
        (tmp_path / "cpuinfo").write_text(told)
    monkeypatch.setattr(provenance, "Path", lambda path: tmp_path / path.removeprefix("/proc/"))
    monkeypatch.setattr(provenance.platform, "machine", lambda: "riscv64")
    assert provenance.machine()["processor"] == processor
