"""Compiled code where nothing that numba would write to can be written to: a container that runs as somebody else."""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
PLAY = """
import logging, os, sys, tempfile
import numpy as np
logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(message)s")
tempfile.tempdir = os.environ["TMPDIR"]
from env_server.environments.mpe import Mpe
game = Mpe(Mpe.Config(), 2)
game.reset(1, np.arange(2, dtype=np.uint32))
step = game.step([{"": np.zeros((2, 5), np.float32)} for _ in game.agents])
print(step.rewards.shape)
"""


@pytest.fixture
def image():
    """A copy of the sources that nobody may write to."""
    folder = Path(tempfile.mkdtemp())
    for room in ("agora", "env_server"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a-w", folder], check=True)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


def _as_nobody_special():
    """Root writes wherever it likes, unless it gives that up."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


def play(image, temporary, **variables):
    """Runs ``PLAY`` without a home; its temporary folder is ``temporary``."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/1", "TMPDIR": str(temporary), "PYTHONPATH": str(image)}
    return subprocess.run(
        [sys.executable, "-c", PLAY],
        env=environment | variables,
        cwd="/",
        preexec_fn=_as_nobody_special,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_without_a_folder_for_its_cache_numba_uses_one_of_its_users_own(image, tmp_path):
    first, second = play(image, tmp_path), play(image, tmp_path)
    for done in (first, second):
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "(2, 3)"
        assert done.stderr.count("WARNING") == 1 and "NUMBA_CACHE_DIR" in done.stderr
    folder = tmp_path / f"agora-numba-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert list(folder.rglob("*.nbi"))


def test_an_unwritable_folder_of_the_users_choice_is_no_reason_to_fail(image, tmp_path):
    done = play(image, tmp_path, NUMBA_CACHE_DIR="/proc/1")
    assert done.returncode == 0 and done.stdout.strip() == "(2, 3)", done.stderr


def test_a_folder_that_somebody_else_prepared_is_not_run(image, tmp_path):
    planted = tmp_path / f"agora-numba-{os.getuid()}"
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    done = play(image, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(planted.iterdir())


def test_where_nothing_at_all_can_be_written_it_is_compiled_anew(image):
    done = play(image, image)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "(2, 3)"
    assert done.stderr.count("WARNING") == 1
