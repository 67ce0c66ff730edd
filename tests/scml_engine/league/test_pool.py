"""The pool, with real processes that hang, raise and die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scml_engine.league.pool import Task, run_many
from tests.scml_engine.league.small import wait_for

ROOT = Path(__file__).parents[3]


def run(*tasks, workers=2, seconds=60.0, recycle=50):
    return {outcome.key: outcome for outcome in run_many(tasks, workers, seconds, recycle)}


def test_workers_are_replaced_and_nothing_is_lost():
    outcomes = run(*(Task(str(n), os.getpid) for n in range(60)), recycle=4)
    assert sorted(outcomes, key=int) == [str(n) for n in range(60)]
    assert not [outcome.error for outcome in outcomes.values() if outcome.error]
    assert len({outcome.value for outcome in outcomes.values()}) >= 60 / 4


@pytest.mark.parametrize(
    ("task", "seconds", "reason"),
    [
        (Task("hangs", time.sleep, (60,)), 4, "killed: not finished within 4 s"),
        (Task("dies", os._exit, (7,)), 60, "its process ended with code 7"),
        (Task("raises", divmod, (1, 0)), 60, "ZeroDivisionError"),
        (Task("leaves", sys.exit, (3,)), 60, "SystemExit: 3"),
    ],
)
def test_a_failure_is_tried_twice_then_told_and_harms_no_other(task, seconds, reason):
    others = [Task(str(n), abs, (-n,)) for n in range(6)]
    outcomes = run(*others[:3], task, *others[3:], seconds=seconds)
    failed = outcomes.pop(task.key)
    assert (failed.value, failed.attempts) == (None, 2)
    assert reason in failed.error
    assert {key: outcome.value for key, outcome in outcomes.items()} == {str(n): n for n in range(6)}


def test_a_task_that_fails_once_succeeds(tmp_path):
    marker = tmp_path / "marker"
    script = f"import os; os.path.exists({str(marker)!r}) or (open({str(marker)!r}, 'w'), os._exit(9))"
    again = run(Task("again", exec, (script,)))["again"]
    assert (again.error, again.attempts) == ("", 2)


def test_workers_have_fixed_hashes_and_a_thread_each():
    names = ("PYTHONHASHSEED", "OMP_NUM_THREADS")
    outcomes = run(*(Task(name, os.getenv, (name,)) for name in names), Task("hash", hash, ("agora",)))
    assert [outcomes[name].value for name in names] == ["0", "1"]
    command = [sys.executable, "-c", "print(hash('agora'))"]
    expected = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, check=True)
    assert outcomes["hash"].value == int(expected.stdout)


def test_what_workers_print_is_not_seen(capfd):
    run(Task("loud", os.system, ("echo loud; echo loud >&2",)), Task("print", print, ("loud",)))
    assert capfd.readouterr() == ("", "")


def test_workers_that_cannot_begin_end_the_run(tmp_path):
    # Workers import the main module of a script, and this one would start workers then.
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from tests.scml_engine.league.test_pool import *\nrun(*(Task(str(n), abs, (1,)) for n in range(99)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "PoolError: workers: expected processes that begin, but they end at once" in done.stderr


def test_closing_kills_what_runs(tmp_path):
    write = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    outcomes = run_many([Task("quick", abs, (1,)), Task("slow", exec, (write,))], workers=2, seconds=60)
    assert next(outcomes).key == "quick"
    pid = wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    outcomes.close()
    assert not _alive(int(pid))


def test_workers_die_with_their_parent(tmp_path):
    code = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = (
        "from scml_engine.league.pool import Task, run_many\n"
        f"list(run_many([Task('slow', exec, ({code!r},))], workers=1, seconds=60))"
    )
    runner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    pid = int(wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text()))
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    wait_for(lambda: not _alive(pid))


def _alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_every_task_has_a_process_of_its_own_unless_told_otherwise():
    outcomes = list(run_many([Task(str(n), os.getpid) for n in range(8)], workers=2, seconds=60.0))
    assert len({outcome.value for outcome in outcomes}) == 8
