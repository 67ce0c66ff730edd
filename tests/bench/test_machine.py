"""Which machine and commit stand beside a figure, where there is less to be read than usual."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import pytest

from bench import provenance

CPUS = "processor\t: 0\nmodel name\t: Fast One: rev 2\ncores\t: 2\n\nprocessor\t: 1\nmodel name\t: Slow One\n"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Stands for /proc/cpuinfo, which is not there at first."""
    path = tmp_path / "cpuinfo"
    monkeypatch.setattr(provenance, "Path", lambda name: path if name == "/proc/cpuinfo" else Path(name))
    return path


def test_the_processor_is_the_first_ones_name(cpuinfo):
    cpuinfo.write_text(CPUS)
    assert provenance.machine()["processor"] == "Fast One: rev 2"


def test_a_nameless_processor_is_its_kind(cpuinfo):
    assert provenance.machine()["processor"] == platform.machine()
    cpuinfo.write_text("processor\t: 0\n")
    assert provenance.machine()["processor"] == platform.machine()


def test_load_and_cores_are_this_process_own(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1.5, 2.5, 3.5))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 8} if pid == 0 else {1})
    found = provenance.machine()
    assert (found["load"], found["cores"]) == (1.5, 3)
    assert found["system"] == f"{platform.system()} {platform.release()}"


def test_a_repository_without_a_commit_has_none(tmp_path):
    """There ``git rev-parse HEAD`` says "HEAD" and fails."""
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert provenance.commit([], tmp_path) == "unknown"
