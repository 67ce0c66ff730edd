"""Keeping one process alive: real processes, small patience."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from deploy.addresses import Addresses
from deploy.errors import ProcessFailed, ProcessRefused
from deploy.processes import Child, Command
from deploy.supervisor import Patience, Supervisor

FAKE = Path(__file__).with_name("fake.py")
QUICK = Patience(
    quick_deaths=3,
    start_seconds=60,
    check_seconds=0.1,
    backoff_seconds=0.01,
    max_backoff_seconds=0.02,
    grace_seconds=0.5,
)


def command(tmp_path, *arguments, **changes):
    address = Addresses("tcp").address("x")
    line = arguments or (sys.executable, str(FAKE), "registry", "--listen", address)
    return Command(name="x", arguments=line, log=tmp_path / "x.log", address=address, **changes)


def python(code):
    return (sys.executable, "-I", "-c", code)


def run_to_the_end(supervisor):
    asyncio.run(asyncio.wait_for(supervisor.run(), 100))


def test_a_hung_process_is_killed_and_started_again(tmp_path):
    notes = []
    patience = dataclasses.replace(QUICK, quick_deaths=99)  # a busy machine makes it seem to hang more than once
    supervisor = Supervisor(command(tmp_path, hang_seconds=1.0), patience, notes.append)

    async def hang():
        task = asyncio.create_task(supervisor.run())
        await asyncio.wait_for(supervisor.ready.wait(), 60)
        first = supervisor.pid
        os.kill(first, signal.SIGSTOP)
        while supervisor.restarts == 0 or not supervisor.ready.is_set():
            await asyncio.sleep(0.05)
        assert supervisor.pid != first
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(hang(), 100))
    assert "x did not work for 1 s" in notes
    assert (supervisor.state, supervisor.pid) == ("stopped", None)


def test_what_keeps_dying_is_given_up_with_the_tail_of_its_log(tmp_path):
    supervisor = Supervisor(command(tmp_path, *python("print('no disk'); exit(3)")), QUICK, lambda _: None)
    with pytest.raises(ProcessFailed, match=r"(?s)x: ended with exit code 3; given up after 2 restarts.*no disk"):
        run_to_the_end(supervisor)


def test_the_budget_of_restarts(tmp_path):
    patience = Patience(restarts=2, quick_deaths=99, backoff_seconds=0.01)
    supervisor = Supervisor(command(tmp_path, *python("exit(3)")), patience, lambda _: None)
    with pytest.raises(ProcessFailed, match="given up after 2 restarts"):
        run_to_the_end(supervisor)


def test_refused_settings_are_not_tried_again(tmp_path):
    supervisor = Supervisor(command(tmp_path, *python("print('port: expected'); exit(2)")), QUICK, lambda _: None)
    with pytest.raises(ProcessRefused, match=r"(?s)refused its settings.*port: expected"):
        run_to_the_end(supervisor)
    assert supervisor.restarts == 0


def test_a_job_that_would_fail_again_is_not_tried_again_but_a_server_is(tmp_path):
    code = python("print('round 7: got nan'); exit(3)")
    job = Supervisor(command(tmp_path, *code, job=True), QUICK, lambda _: None)
    with pytest.raises(ProcessFailed, match=r"(?s)x: failed, and would fail in the same way again.*round 7: got nan"):
        run_to_the_end(job)
    assert (job.restarts, job.state) == (0, "stopped")
    server = Supervisor(command(tmp_path, *code), QUICK, lambda _: None)
    with pytest.raises(ProcessFailed, match="given up after 2 restarts"):
        run_to_the_end(server)


def test_a_job_is_done_with_0_but_a_server_is_not(tmp_path):
    job = Supervisor(command(tmp_path, *python("exit(0)"), job=True), QUICK, lambda _: None)
    run_to_the_end(job)
    assert job.state == "done"
    server = Supervisor(command(tmp_path, *python("exit(0)")), QUICK, lambda _: None)
    with pytest.raises(ProcessFailed, match="exit code 0"):
        run_to_the_end(server)


def test_what_never_becomes_ready(tmp_path):
    patience = Patience(start_seconds=0.3)
    supervisor = Supervisor(command(tmp_path, *python("import time; time.sleep(60)")), patience, lambda _: None)
    with pytest.raises(ProcessFailed, match=r"not ready within 0.3 s"):
        run_to_the_end(supervisor)
    assert supervisor.restarts == 0


def test_sigterm_ignored_is_sigkill(tmp_path):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    child = Child(command(tmp_path, *python(code)))
    while "up\n" not in (tmp_path / "x.log").read_text():
        time.sleep(0.02)
    began = time.monotonic()
    asyncio.run(child.stop(0.3))
    assert child.exit_code == -signal.SIGKILL
    assert time.monotonic() - began >= 0.3
    child.signal(signal.SIGTERM)  # to the dead: nothing


def test_addresses_differ_and_are_below_the_kernels_own(tmp_path):
    addresses = Addresses("tcp")
    ports = [addresses.port() for _ in range(20)]
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(ports)) == 20
    assert max(ports) < max(first, 20_001)
