"""``agora report``: the page, and the sections that other programs write for it."""

import json
import subprocess
import sys

import pytest

from bench.processes import ROOT


def report(folder):
    words = [sys.executable, "-m", "deploy.cli", "report", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "environment.json").write_text(json.dumps({"agents": ["maker_0"], "facts": {"market": {}}}))
    (tmp_path / "trajectories").mkdir()
    return tmp_path


def test_a_run_without_a_log_has_no_section(folder):
    code, said, complaint = report(folder)
    assert (code, said, complaint) == (0, str(folder / "report.html"), "")
    assert "<h2>Market</h2>" not in (folder / "report.html").read_text() and not (folder / "sections").exists()


def test_a_section_that_fails_says_why_and_the_page_is_written_without_it(folder):
    (folder / "trajectories" / "part.parquet").write_bytes(b"torn")
    code, said, complaint = report(folder)
    assert (code, said) == (0, str(folder / "report.html")) and "Parquet" in complaint
    assert "Traceback" not in complaint and "<h2>Market</h2>" not in (folder / "report.html").read_text()


@pytest.mark.parametrize("written", ["{}", '{"facts":', '{"facts": {"panels": []}}'])
def test_another_game_is_asked_for_no_section(folder, written):
    (folder / "environment.json").write_text(written)
    (folder / "trajectories" / "part.parquet").write_bytes(b"torn")
    assert report(folder) == (0, str(folder / "report.html"), "")
