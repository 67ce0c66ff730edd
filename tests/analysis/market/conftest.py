"""A market run that real services played, and its log."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.processes import ROOT

WORDS = ["--set", "makers=1", "--set", "traders=1", "--set", "steps=3000", "--seat", "maker_0=market:maker"]


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """Two episodes of 3,000 steps with a maker and a trader."""
    folder = tmp_path_factory.mktemp("market")
    play = [sys.executable, "-m", "deploy.cli", "play", "market", *WORDS, "--copies", "2", "--deadline", "60"]
    done = subprocess.run([*play, "--log", str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
