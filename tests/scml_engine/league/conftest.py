"""Small comparisons, played in this process or by the command."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scml_engine.league.small import SMALL

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Plays here; returns the exit code and the run's folder."""
    from scml_engine.league.options import League
    from scml_engine.league.run import league

    monkeypatch.syspath_prepend(str(HERE))

    def play(**changes):
        options = League(**{**SMALL, "runs_dir": tmp_path, **changes})
        return league(options), tmp_path / options.name

    return play


@pytest.fixture
def command(tmp_path):
    """Starts ``python -m scml_engine league``."""
    started = []

    def start(*more, **changes):
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**SMALL, **changes}.items()]
        words = [sys.executable, "-m", "scml_engine", "league", *flags, f"--runs-dir={tmp_path}", *more]
        path = os.pathsep.join([str(ROOT), str(HERE)])
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}, start_new_session=True, **pipes)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
