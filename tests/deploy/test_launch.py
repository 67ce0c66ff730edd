"""Starting, restarting and stopping: real processes that do nothing."""

from __future__ import annotations

import itertools
import json
import os
import signal

import psutil
import pytest


def alive(pids):
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def pids(launch):
    return [entry["pid"] for entry in launch.processes().values() if entry["pid"]]


def test_a_run_finishes_and_leaves_its_folder(launch):
    one = launch("--set", "metrics=true", "--set", "agents.replicas=2")
    code, out, err = one.finish()
    assert (code, err) == (0, "")
    assert "converged" in out and "station_1" in out and "report.html" in out
    environment = json.loads((one.run / "environment.json").read_text())
    assert environment["agents"] == ["station_0", "station_1"]
    assert environment["facts"] == {"currency": "AUD"}
    assert set(one.processes()) == {
        "registry", "env_server-0", "agent-station_0-0", "agent-station_0-1", "agent-station_1-0",
        "agent-station_1-1", "trainer",
    }  # fmt: skip
    trainer = one.processes()["trainer"]["command"]
    replicas = [one.processes()[f"agent-station_0-{n}"]["address"] for n in range(2)]
    assert f"station_0={','.join(replicas)}" in trainer
    assert "--metrics-port" in trainer
    assert (one.run / "logs" / "trainer.log").exists()


def test_one_service_may_answer_for_all_learning_agents(launch):
    one = launch("--set", "agents.together=true", "--set", "agents.replicas=2")
    assert one.finish()[0] == 0
    assert set(one.processes()) == {"registry", "env_server-0", "agents-0", "agents-1", "trainer"}
    command = one.processes()["agents-0"]["command"]
    assert [after for word, after in itertools.pairwise(command) if word == "--policy-id"] == ["station_0", "station_1"]
    where = ",".join(one.processes()[f"agents-{n}"]["address"] for n in range(2))
    assert {f"station_0={where}", f"station_1={where}"} < set(one.processes()["trainer"]["command"])


def test_an_agent_with_an_override_has_a_service_of_its_own(launch):
    one = launch("--set", "agents.together=true", "--set", "agents.overrides.station_1.policy=scripted:undercut")
    assert one.finish()[0] == 0
    assert set(one.processes()) == {"registry", "env_server-0", "agents", "agent-station_1", "trainer"}


def test_a_trainer_that_crashes_is_restarted(launch):
    one = launch("--set", "transport=unix", FAKE_CRASHES="1")
    code, out, _ = one.finish()
    assert code == 0
    assert "trainer 1" in out
    assert [row["resumed"] for row in one.rows() if row["kind"] == "start"] == [False, True]
    assert "trainer ended with exit code 7" in (one.run / "logs" / "launcher.log").read_text()
    sockets = os.path.dirname(one.processes()["registry"]["address"].removeprefix("unix:"))
    assert sockets and not os.path.exists(sockets)


def test_a_trainer_that_refuses_its_settings_stops_the_run(launch):
    one = launch(FAKE_REFUSES="1")
    code, _, err = one.finish()
    assert code == 2
    assert "trainer: refused its settings" in err
    assert "training.learner.width: expected > 0, got -1" in err
    assert not alive(pids(one))


def test_a_killed_service_comes_back_at_its_address(launch):
    one = launch(FAKE_ENDLESS="1")
    before = one.training()["agent-station_1"]
    os.kill(before["pid"], signal.SIGKILL)

    def back():
        after = one.processes()["agent-station_1"]
        return after if after["pid"] not in (None, before["pid"]) and after["state"] == "ready" else None

    after = one.wait_for(back)
    assert (after["restarts"], after["address"]) == (1, before["address"])
    one.process.send_signal(signal.SIGTERM)
    assert one.finish()[0] == 128 + signal.SIGTERM


def test_ctrl_c_stops_everything_even_what_hangs(launch):
    one = launch(FAKE_ENDLESS="1")
    os.kill(one.training()["registry"]["pid"], signal.SIGSTOP)
    code, _, err = launch("--resume").finish()
    assert code == 1 and "another agora" in err
    children = pids(one)
    one.process.send_signal(signal.SIGINT)
    code, out, _ = one.finish()
    assert code == 128 + signal.SIGINT
    assert f"agora run {one.run}/config.yaml" in out and "--resume" in out
    assert not alive(children)


def test_children_die_with_the_launcher(launch):
    one = launch(FAKE_ENDLESS="1")
    one.training()
    children = pids(one)
    one.process.kill()
    one.process.wait()
    _, left = psutil.wait_procs([psutil.Process(pid) for pid in alive(children)], timeout=60)
    assert not alive([process.pid for process in left])


def test_a_name_that_is_taken_gets_a_number_and_the_run_can_be_resumed(launch, tmp_path):
    (tmp_path / "runs" / "small").mkdir(parents=True)
    one = launch(name="small-2")
    code, out, _ = one.finish()
    assert code == 0 and "this run is small-2" in out
    code, _, err = launch("--name", "small-2", "--resume", "--set", "training.max_environment_steps=2000").finish()
    assert (code, err) == (0, "")
    assert "max_environment_steps: 2000" in (one.run / "config.yaml").read_text()
    assert [row["resumed"] for row in one.rows() if row["kind"] == "start"] == [False, True]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "agents.overrides.station_9.policy=scripted:fixed"), "one of station_0, station_1"),
        (("--set", "environment.config.wrong=1"), "config.wrong"),
    ],
)
def test_what_only_the_environment_knows_is_refused_too(launch, flags, words):
    one = launch(*flags)
    code, _, err = one.finish()
    assert code in (1, 2) and words in err
    assert not alive(pids(one))
