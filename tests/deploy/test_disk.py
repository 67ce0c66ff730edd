"""Files and folders that cannot be read or written, and full disks: a sentence and an exit code, never a traceback.

A disk that is full is one on which no file may become larger than so many bytes (RLIMIT_FSIZE).
"""

import os
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import ROOT

UNWRITABLE = "/sys/agora"
FAKE_AGORA = Path(__file__).with_name("fake_agora.py")
VARIABLES = {**os.environ, "PYTHONPATH": str(ROOT)}


def start(*words, limit=None, seconds=200):
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=ROOT,
        env=VARIABLES,
        preexec_fn=limit and (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))),
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("limit", [100, 700, 1500])
def test_a_launcher_on_a_full_disk(limit, tmp_path, experiment):
    code, said = start(str(FAKE_AGORA), "run", str(experiment), "--runs-dir", str(tmp_path / "runs"), limit=limit)
    assert code == 1
    assert "File too large" in said and str(tmp_path / "runs" / "small") in said
    assert "Traceback" not in said and "ExceptionGroup" not in said


@pytest.mark.parametrize(("kind", "words"), [("file", "Not a directory"), ("unwritable", UNWRITABLE)])
def test_a_runs_folder_that_is_none(kind, words, tmp_path, experiment):
    (tmp_path / "file").write_text("")
    runs = str(tmp_path / "file") if kind == "file" else UNWRITABLE
    code, said = start(str(FAKE_AGORA), "run", str(experiment), "--runs-dir", runs)
    assert code == 1 and words in said and "Traceback" not in said


def test_an_experiment_that_is_a_folder_or_no_text(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe")
    for path, words in ((tmp_path, "Is a directory"), (tmp_path / "bad.yaml", "expected YAML")):
        code, said = start(str(FAKE_AGORA), "run", str(path))
        assert code == 2 and words in said and "Traceback" not in said


def test_play_cannot_keep_its_log():
    code, said = start("-m", "deploy.cli", "play", "matrix", "--log", UNWRITABLE)
    assert code == 2 and "log_directory: expected a folder that can be written" in said and "Traceback" not in said


def test_a_log_that_outgrows_its_disk(tmp_path):
    flags = ("--copies", "500", "--set", "rounds=20", "--log", str(tmp_path))
    code, said = start("-m", "deploy.cli", "play", "matrix", *flags, limit=20_000)
    assert code == 1 and "expected a disk that this server can write to, got File too large" in said
    assert "Traceback" not in said


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("module", "flags", "code", "words"),
    [
        ("trainer.registry", ["--directory", "{tmp}", "--listen", "127.0.0.1:{taken}"], 2, "an address that is free"),
        ("trainer.registry", ["--directory", UNWRITABLE], 2, "a folder that can be written"),
        ("trainer.registry", ["--directory", "{tmp}", "--metrics-port", "{taken}"], 2, "a port that is free"),
        ("env_server", ["--metrics-port", "{taken}"], 2, "a port that is free"),
        ("env_server", ["--dm-env-rpc", "127.0.0.1:{taken}"], 2, "an address that is free"),
        ("env_server", ["--log-directory", UNWRITABLE], 2, "a folder that can be written"),
        ("env_server", ["--game", "own=tests.support.broken.syntax:Game"], 2, "a class that can be imported"),
        ("agent_services", ["--policy", "scripted:random", "--metrics-port", "{taken}"], 2, "a port that is free"),
    ],
)
def test_a_refused_start_leaves_a_sentence(module, flags, code, words, taken, tmp_path):
    got, said = start("-m", module, *(flag.format(tmp=tmp_path, taken=taken) for flag in flags))
    assert got == code and words in said
    assert "Traceback" not in said and "never retrieved" not in said


def test_a_report_that_cannot_be_written(tmp_path):
    page = ("-m", "trainer.report", str(tmp_path), "--output", f"{UNWRITABLE}/report.html")
    code, said = start(*page)
    assert code != 0 and "Traceback" not in said
