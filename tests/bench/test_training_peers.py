"""Others' learners beside ours: the shared evaluation, and a program as the measurement runs it."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest

from bench.peer_programs.train_common import Meter
from bench.training_peers import PEERS, Effort, Peer, train

TEXTBOOK = next(peer for peer in PEERS if peer.program == "textbook")
NO_OP = -24.15  # per agent, over 20,000 episodes, on an independent copy of the game's physics


@pytest.fixture
def meter():
    given = Namespace(cpu_seconds=0.02, reports=1, episodes=100)
    return Meter(given, lambda seen: np.zeros((*seen.shape[:2], 5), np.float32))


def test_evaluation_knows_what_doing_nothing_earns(meter, capsys):
    while meter.goes_on(7):
        pass
    line = json.loads(capsys.readouterr().out)
    assert line["steps"] == 7
    assert line["return"] == pytest.approx(NO_OP, abs=4 * line["se"])
    assert 0.02 <= line["cpu_seconds"] < 0.1  # an evaluation takes more


def test_a_program_trains_and_reports():
    reports = train(TEXTBOOK, Path(sys.executable), Effort(1, 0.5, 2, 2), seed=3)
    assert len(reports) == 2
    assert all(set(report) == {"steps", "cpu_seconds", "wall_seconds", "return", "se"} for report in reports)
    assert 0 < reports[0]["steps"] < reports[1]["steps"]
    assert reports[1]["cpu_seconds"] >= 0.5


def test_a_program_that_fails_says_why():
    with pytest.raises(RuntimeError, match=r"nobody: exit code 1: .*No module named .*train_nobody"):
        train(Peer("nobody", "nobody", ""), Path(sys.executable), Effort(1, 0.5, 2, 2), seed=3)
