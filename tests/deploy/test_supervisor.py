"""Keeping one process alive: real processes, small patience."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from deploy import supervisor as module
from deploy.addresses import Addresses
from deploy.errors import ProcessFailed, ProcessRefused
from deploy.processes import Child, Command, is_healthy
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


def test_a_hung_process_is_killed_and_started_again(tmp_path, monkeypatch):
    """The process stops answering, and the supervisor's clock goes on until its patience is at its end."""
    notes, ahead = [], [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0]))
    monkeypatch.setattr(module, "is_healthy", lambda address: is_healthy(address, timeout=0.2 if ahead[0] else 60.0))
    supervisor = Supervisor(command(tmp_path, hang_seconds=600.0), QUICK, notes.append)

    async def hang():
        task = asyncio.create_task(supervisor.run())
        await supervisor.ready.wait()
        first = supervisor.pid
        os.kill(first, signal.SIGSTOP)
        while "x did not work for 600 s" not in notes:
            ahead[0] += 100.0
            await asyncio.sleep(0.05)
        ahead[0] = 0.0
        await supervisor.ready.wait()
        assert supervisor.pid != first and supervisor.restarts == 1
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(hang(), 100))
    assert (supervisor.state, supervisor.pid) == ("stopped", None)


def test_what_keeps_dying_is_given_up_with_the_tail_of_its_log(tmp_path):
    supervisor = Supervisor(command(tmp_path, *python("print('no disk'); exit(3)")), QUICK, lambda _: None)
    with pytest.raises(ProcessFailed, match=r"(?s)x: ended with exit code 3; given up after 2 restarts.*no disk"):
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


def test_sigterm_ignored_is_sigkill(tmp_path):
    """The process says that it was asked, and goes on; without a grace it is not asked at all for long."""
    code = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        "print('up', flush=True)\n"
        "while True: time.sleep(60)"
    )
    child = Child(command(tmp_path, *python(code)))
    written = tmp_path / "x.log"

    async def stopped():
        while "up\n" not in written.read_text():
            await asyncio.sleep(0.02)
        ending = asyncio.create_task(child.stop(3600))
        while "asked\n" not in written.read_text():
            await asyncio.sleep(0.02)
        assert child.exit_code is None and not ending.done()
        ending.cancel()
        await child.stop(0)

    asyncio.run(asyncio.wait_for(stopped(), 100))
    assert child.exit_code == -signal.SIGKILL
    child.signal(signal.SIGTERM)  # to the dead: nothing


def test_addresses_differ_and_are_below_the_kernels_own(tmp_path):
    addresses = Addresses("tcp")
    ports = [addresses.port() for _ in range(20)]
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert len(set(ports)) == 20
    assert max(ports) < max(first, 20_001)
