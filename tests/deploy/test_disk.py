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


def start(*words, limit=None, seconds=200, folder=ROOT):
    done = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        cwd=folder,
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


OWN_MODULES = {
    "own_syntax.py": "Game = (",
    "own_exit.py": "import sys; sys.exit(4)",
    "own_values.py": (
        "from pydantic import BaseModel\n"
        "class Plain: ...\n"
        "class Number:\n    Config, reset, step = 5, print, print\n"
        "class Stepless:\n    Config, reset = BaseModel, print\n"
        "number = 3\n"
    ),
}


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
        ("env_server", ["--game", "own=tests.support.broken.none:Game"], 2, "got ModuleNotFoundError: No module"),
        ("env_server", ["--game", "own=own_syntax:Game"], 2, "got SyntaxError: '(' was never closed"),
        ("env_server", ["--game", "own=own_exit:Game"], 2, "got RuntimeError: it asked the server to exit, with 4"),
        ("env_server", ["--game", "own=own_values:Plain"], 2, "expected an Environment class"),
        ("env_server", ["--game", "own=own_values:Number"], 2, "expected an Environment class"),
        ("env_server", ["--game", "own=own_values:number"], 2, "expected an Environment class"),
        ("env_server", ["--game", "own=own_values:Stepless"], 2, "expected an Environment class"),
        ("agent_services", ["--policy", "scripted:random", "--metrics-port", "{taken}"], 2, "a port that is free"),
    ],
)
def test_a_refused_start_leaves_a_sentence(module, flags, code, words, taken, tmp_path):
    for name, text in OWN_MODULES.items():
        (tmp_path / name).write_text(text)
    words_of_it = [flag.format(tmp=tmp_path, taken=taken) for flag in flags]
    got, said = start("-P", "-m", module, *words_of_it, folder=tmp_path)
    assert got == code and words in said
    assert "Traceback" not in said and "never retrieved" not in said


@pytest.mark.parametrize("kind", ["full", "unwritable", "folder"])
def test_a_report_that_cannot_be_written(kind, tmp_path):
    (tmp_path / "environment.json").write_text('{"agents": ["left"], "facts": {}}')
    page = tmp_path / "report.html"
    page.mkdir() if kind == "folder" else page.write_text("the old one")
    to = ("--output", "/sys/report.html") if kind == "unwritable" else ()
    code, said = start("-m", "trainer.report", str(tmp_path), *to, limit=10_000 if kind == "full" else None)
    assert code == 1 and "report.html" in said and "Traceback" not in said
    assert {"full": "File too large", "unwritable": "/sys/", "folder": "Is a directory"}[kind] in said
    assert page.is_dir() or page.read_text() == "the old one"


def test_a_league_cannot_be_kept():
    code, said = start("-m", "deploy.cli", "scml", "league", "--policies", "greedy", "--runs-dir", UNWRITABLE)
    assert code == 1 and UNWRITABLE in said and "Traceback" not in said


HOPELESS = {
    "full": ("/dev/full", 74, "No space left on device"),
    "folder": ("{tmp}", 74, "{tmp}: Is a directory"),
    "below a file": ("{tmp}/file/x", 74, "{tmp}/file/x: Not a directory"),
    "missing": ("{tmp}/none/x", 1, "{tmp}/none/x: No such file or directory"),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_a_process_whose_file_will_not_be_written_says_that_a_new_start_is_no_use(case, tmp_path):
    """With the exit code by which a launcher does not start it again."""
    (tmp_path / "file").write_text("")
    path, expected, words = (v.format(tmp=tmp_path) if isinstance(v, str) else v for v in HOPELESS[case])
    program = "async def main(): open(sys.argv[1], 'wb', 0).write(b'x')\nrun(main, 'trainer')"
    code, said = start("-c", f"import sys\nfrom agora.service import run\n{program}", path)
    assert (code, "Traceback" in said) == (expected, False)
    assert said.endswith(f"ERROR trainer: {words}\n")
