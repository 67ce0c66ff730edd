"""Environments that start processes: they may, and none of these is left whatever ends."""

import json
import os
import signal
import time

import pytest

from agora.clients import parallel_env
from bench.processes import Service
from tests.env_server.pettingzoo.conftest import ZOO, numbers
from tests.env_server.pettingzoo.test_agents import meadow_actions
from tests.env_server.pettingzoo.test_failures import gone

COPIES = 2


def source(pids, **values):
    return f"{ZOO}:Parent?" + "&".join(
        f"{key}={json.dumps(value)}" for key, value in {"pids": str(pids), **values}.items()
    )


def all_gone(pids):
    until = time.monotonic() + 60
    while not all(map(gone, pids)):
        assert time.monotonic() < until, f"still there: {pids}"
        time.sleep(0.05)


def children(file):
    return [int(line) for line in file.read_text().split()]


@pytest.mark.parametrize(("method", "daemon"), [("fork", False), ("spawn", False), ("fork", True)])
def test_an_environment_may_start_processes_that_end_with_it(method, daemon, host, tmp_path):
    hosted = host(source(tmp_path / "pids", method=method, daemon=daemon), COPIES, workers=2)
    assert not hosted.reset(1, numbers(COPIES)).info["failed"].any()
    step = hosted.step(meadow_actions(COPIES))
    assert not step.info["failed"].any() and step.rewards[:, 0].tolist() == [1.0, 1.0]
    # The first one was started when the server looked at the environment, and is gone.
    (inspected, *started), workers = children(tmp_path / "pids"), hosted.pids
    all_gone([inspected])
    assert len(started) == COPIES and not any(map(gone, started))
    hosted.close()
    all_gone([*started, *workers])


def test_a_worker_that_is_killed_takes_them_along(host, tmp_path):
    hosted = host(source(tmp_path / "pids"), COPIES, workers=1)
    hosted.reset(1, numbers(COPIES))
    os.kill(hosted.pids[0], signal.SIGKILL)
    all_gone(children(tmp_path / "pids"))


def test_a_server_that_is_killed_takes_them_along(tmp_path):
    with Service("env_server", ["--pettingzoo-module", ZOO]) as server:
        env = parallel_env(server.address, f"pettingzoo:{source(tmp_path / 'pids')}")
        env.reset(seed=1)
        _, *started = children(tmp_path / "pids")
        assert started and not any(map(gone, started))
        server.process.kill()
        all_gone(started)
        env.close()
