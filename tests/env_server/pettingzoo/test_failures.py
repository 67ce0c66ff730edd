"""Environments that fail, processes that die, and what is left afterwards."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing.synchronize import SemLock
from pathlib import Path

import numpy as np
import pytest

from agora.errors import Refused
from agora.v1 import policy_pb2
from tests.env_server.pettingzoo.conftest import ZOO, numbers, odd_copies

SEED, COPIES = 3, 6
SAID = [{"": np.zeros(COPIES, np.int64)}] * 2
ODD = odd_copies(SEED, COPIES)
KINDS = {
    "step": ("KeyError: 'no step today'", "-"),
    "exit": ("SystemExit: 3", "-"),
    "state": ("ValueError: no state today", "-"),
    "shape": ("expected shape (2,), got (3,)", "two"),
    "type": ("could not convert string to float", "two"),
    "nan": ("expected [0.0, 9.0], got nan", "two"),
    "bounds": ("expected [0.0, 9.0], got 9.5", "two"),
    "missing": ("expected one for an agent that has to act, got none", "two"),
    "reward": ("reward: expected finite numbers", "-"),
}


def episode(hosted, first):
    steps = [first]
    while steps[-1].awaited.any():
        steps.append(hosted.step(SAID))
    return steps


def test_half_of_the_copies_fail_in_these_tests():
    assert 0 < ODD.sum() < COPIES


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_that_fails_is_cut_off_and_the_others_go_on(kind, host, caplog):
    words, agent = KINDS[kind]
    hosted = host(f"{ZOO}:Faulty?kind={kind}", COPIES, workers=1)
    steps = episode(hosted, hosted.reset(SEED, numbers(COPIES)))
    assert len(steps) == 5
    rewards = np.array([step.rewards[:, 0] for step in steps[1:]])
    assert np.array_equal(rewards[:, ~ODD], np.ones((4, (~ODD).sum())))
    assert np.array_equal(rewards[:, ODD].T, np.tile([1.0, 0, 0, 0], (ODD.sum(), 1)))
    second = steps[2]
    assert np.array_equal(second.info["failed"], ODD.astype(np.uint8)) and second.info["failed"].dtype == np.uint8
    assert np.array_equal(second.truncated, np.stack([ODD, ODD], axis=1)) and not second.terminated.any()
    for shown in second.observations:
        assert (shown[""][ODD] == 1).all() and (shown[""][~ODD] == 2).all()  # the last good one
    assert not steps[3].truncated.any() and not steps[3].info["failed"].any()
    told = [record.getMessage() for record in caplog.records if "environment failed" in record.getMessage()]
    assert len(told) == 1 and words in told[0]
    assert f"copy={np.flatnonzero(ODD)[0]} agent={agent} step=1" in told[0].splitlines()[0]
    again = hosted.reset(SEED + 1, numbers(COPIES))
    assert again.awaited.all() and not again.info["failed"].any()


def test_floods_of_the_same_fault_are_told_ever_more_rarely(host, caplog):
    hosted = host(f"{ZOO}:Faulty?kind=step&at=1", COPIES)
    failed = 0
    for seed in range(8):
        hosted.reset(seed, numbers(COPIES))
        failed += int(hosted.step(SAID).info["failed"].sum())
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert 10 <= failed < 100
    assert [message.splitlines()[0].rpartition("times=")[2] for message in told] == ["1", "10"]


def test_a_copy_that_cannot_be_reset_waits_and_the_others_play(host):
    hosted = host(f"{ZOO}:Faulty?kind=reset", COPIES, workers=2)
    first = hosted.reset(SEED, numbers(COPIES))
    assert np.array_equal(first.awaited.any(axis=1), ~ODD) and not first.truncated.any()
    assert np.array_equal(first.info["failed"], ODD.astype(np.uint8))
    assert len(episode(hosted, first)) == 5


def test_an_environment_of_which_no_copy_can_be_reset_is_refused(host):
    hosted = host(f"{ZOO}:Faulty?kind=reset", 1)
    odd = next(seed for seed in range(99) if odd_copies(seed, 1)[0])
    with pytest.raises(Refused) as caught:
        hosted.reset(odd, numbers(1))
    assert caught.value.reason == policy_pb2.REASON_INTERNAL
    even = next(seed for seed in range(99) if not odd_copies(seed, 1)[0])
    assert hosted.reset(even, numbers(1)).awaited.all()


def test_a_process_that_was_killed_is_told_and_replaced(host):
    hosted = host(f"{ZOO}:Faulty", COPIES, workers=2)
    expected = episode(hosted, hosted.reset(SEED, numbers(COPIES)))
    hosted.reset(SEED, numbers(COPIES))
    hosted.step(SAID)
    before = hosted.pids
    os.kill(before[1], signal.SIGKILL)
    with pytest.raises(Refused) as caught:
        hosted.step(SAID)
    assert caught.value.reason == policy_pb2.REASON_UNREACHABLE and caught.value.retryable
    assert "exit code -9" in str(caught.value)
    assert all(gone(pid) for pid in before)
    with pytest.raises(RuntimeError):
        hosted.step(SAID)
    found = episode(hosted, hosted.reset(SEED, numbers(COPIES)))
    assert np.array_equal([s.rewards for s in found], [s.rewards for s in expected])
    assert len(hosted.pids) == 2 and not set(hosted.pids) & set(before)


def test_a_process_that_is_killed_while_it_computes_is_told(host):
    hosted = host(f"{ZOO}:Faulty?kind=hang&at=1", COPIES, workers=1)
    hosted.reset(SEED, numbers(COPIES))
    killer = threading.Timer(0.3, os.kill, (hosted.pids[0], signal.SIGKILL))
    killer.start()
    with pytest.raises(Refused) as caught:
        hosted.step(SAID)
    killer.join()
    assert caught.value.retryable and not hosted.pids


def test_a_process_that_hangs_is_given_up_after_patience(host):
    hosted = host(f"{ZOO}:Faulty?kind=hang&at=1", COPIES, workers=2, patience=5.0)
    hosted.reset(SEED, numbers(COPIES))
    before = hosted.pids
    with pytest.raises(Refused) as caught:
        hosted.step(SAID)
    assert caught.value.retryable and "within 5 s" in str(caught.value)
    assert all(gone(pid) for pid in before)


def test_nothing_is_left_when_it_is_closed(host, monkeypatch):
    names: list[str] = []
    make_name = SemLock._make_name  # what it makes lies in /dev/shm, as does what other processes make meanwhile
    monkeypatch.setattr(SemLock, "_make_name", staticmethod(lambda: names.append(make_name()) or names[-1]))
    hosted = host(f"{ZOO}:Faulty", COPIES, workers=2)
    hosted.reset(SEED, numbers(COPIES))
    pids = hosted.pids
    hosted.close()
    hosted.close()
    assert len(pids) == 2 and hosted.pids == [] and all(gone(pid) for pid in pids)
    assert names and not {f"sem.{name.removeprefix('/')}" for name in names} & set(os.listdir("/dev/shm"))
    assert hosted.reset(SEED, numbers(COPIES)).awaited.all()


PROGRAM = """
import time, numpy as np
from agora.v1 import environment_pb2 as pb
from env_server.environments import make

if __name__ == "__main__":
    game = make(pb.EnvironmentSpec(name="pettingzoo:mpe2.simple_v3", num_envs=2))
    game.reset(0, np.arange(2, dtype=np.uint32))
    print(*game.pids, flush=True)
    {last}
"""


def start(folder, last):
    """A program that hosts, and the ids of its processes."""
    (folder / "program.py").write_text(PROGRAM.replace("{last}", last))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    command = [sys.executable, str(folder / "program.py")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    assert process.stdout is not None
    return process, [int(word) for word in process.stdout.readline().split()]


def test_a_server_that_is_killed_leaves_nobody_behind(tmp_path):
    process, pids = start(tmp_path, "time.sleep(60)")
    process.kill()
    process.communicate()
    assert pids
    until = time.monotonic() + 30
    while not all(map(gone, pids)):
        assert time.monotonic() < until, f"still there: {pids}"
        time.sleep(0.1)


@pytest.mark.parametrize("last", ["game.close()", "pass"])
def test_a_server_that_ends_says_nothing_of_leaks(last, tmp_path):
    process, pids = start(tmp_path, last)
    _, errors = process.communicate(timeout=90)
    assert process.returncode == 0 and all(map(gone, pids)) and "leak" not in errors and "Traceback" not in errors


def gone(pid):
    """Ended; a zombie that nobody has waited for is still there, unless its parent is gone, too."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except FileNotFoundError:
        return True
    return state == "Z" and int(parent) != os.getpid()
