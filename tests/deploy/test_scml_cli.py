"""``agora scml`` hands everything on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.cli import main

ROOT = Path(__file__).parents[2]


def agora(*words, **variables):
    command = [sys.executable, "-m", "deploy.cli", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("words", [("scml", "--help"), ("--help",)])
def test_help_names_the_commands(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("scml", "league", "official", "audit", "analyze"))


@pytest.mark.parametrize("words", [("scml",), ("scml", "leage")])
def test_unknown_commands_end_with_2(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "league" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "flag"), [("league", "--per-level"), ("official", "--configs"), ("audit", "--physics")]
)
def test_help_is_the_rooms_own(command, flag):
    done = agora("scml", command, "--help")
    assert done.returncode == 0, done.stderr
    assert flag in done.stdout


def test_what_the_room_refuses_ends_with_2(tmp_path):
    done = agora("scml", "league", "--policies", "pinguin", "--runs-dir", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.startswith("--policies: expected one of penguin,")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_without_the_engine_it_says_what_is_missing(tmp_path):
    missing = "raise ModuleNotFoundError(\"No module named 'pebble'\", name='pebble')"
    (tmp_path / "pebble.py").write_text(missing)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = agora("scml", "league", "--policies", "penguin", PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr == "the engine is not installed: pebble is missing; make install, or pip install 'agora[scml]'\n"
