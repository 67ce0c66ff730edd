"""The whole loop as a person runs it: real processes, from the experiment file to the report."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import numpy as np
import onnxruntime as ort
import pytest
import yaml

from bench.processes import ROOT

QUICK = (
    "seed=7",
    "training.max_environment_steps=1400",
    "training.check_every=3",
    "training.check_starts=6",
    "training.epsilon=1e-9",
    "training.learner={check_refits: 3, refit_updates: 60}",
)


def command(folder, *more, settings=QUICK):
    words = [sys.executable, "-m", "deploy.cli", "run", str(ROOT / "examples" / "melbourne.yaml")]
    for setting in settings:
        words += ["--set", setting]
    return [*words, "--runs-dir", str(folder), "--name", "war", *more]


def metrics(run):
    whole, _, _ = (run / "metrics.jsonl").read_text().rpartition("\n")  # the last line may not be finished yet
    return [json.loads(line) for line in whole.splitlines()]


def last_check(run):
    return [row for row in metrics(run) if row["kind"] == "check"][-1]


def pids(run):
    return {name: told["pid"] for name, told in json.loads((run / "processes.json").read_text()).items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    done = subprocess.run(command(folder), cwd=ROOT, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "war", done.stdout


def test_everything_a_person_gets_is_there(finished):
    run, said = finished
    assert "report.html" in said and "NashConv" in said
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["seed"] == 7 and config["training"]["check_every"] == 3
    for name in ("environment.json", "checkpoint", "tensorboard", "logs/trainer.log", "report.html"):
        assert (run / name).exists(), name
    assert any(run.glob("tensorboard/events*"))
    kinds = [row["kind"] for row in metrics(run)]
    assert kinds[0] == "start" and kinds[-1] == "end" and kinds.count("check") >= 2


def test_the_report_is_about_this_run(finished):
    page = (finished[0] / "report.html").read_text()
    assert "site 30" in page and "NashConv" in page and "Price per period" in page


def test_the_log_holds_every_step_once_with_the_version_that_acted(finished):
    run, _ = finished
    log = f"'{run}/trajectories/*.parquet'"
    rows, distinct, blocks = duckdb.sql(
        f"select count(*), count(distinct (block, step, copy)), count(distinct block) from {log}"
    ).fetchall()[0]
    assert rows == distinct
    rounds = [row for row in metrics(run) if row["kind"] == "round"]
    checks = [row for row in metrics(run) if row["kind"] == "check"]
    assert blocks == len(rounds) + len(checks) and checks[-1]["round"] == rounds[-1]["round"]
    versions = duckdb.sql(
        f'select block, min("station_2.policy_step"), max("station_2.policy_step") from {log} group by 1 order by 1'
    ).fetchall()
    assert all(low == high for _, low, high in versions)
    steps = [low for _, low, _ in versions]
    assert steps == sorted(steps) and steps[0] == 0 and steps[-1] > 0
    assert {row["versions"]["station_2"][1] for row in rounds} <= set(steps)


def test_a_logged_action_is_what_the_published_policy_says(finished):
    run, _ = finished
    row = duckdb.sql(
        'select "station_1.policy_epoch" e, "station_1.policy_step" s, "station_1.action" a, '
        '"station_1.observation.last_round_all_prices" p, "station_1.observation.own_charging_flow" f '
        f"from '{run}/trajectories/*.parquet' where noise_scale = 0 order by block desc, step desc, copy limit 1"
    ).fetchall()[0]
    model = run / "policies" / "station_1" / f"{row[0]}-{row[1]}.onnx"
    seen = {
        "last_round_all_prices": np.array(row[3], np.float32).reshape(1, 4, 8),
        "own_charging_flow": np.array(row[4], np.float32).reshape(1, 8),
    }
    (mean,) = ort.InferenceSession(model.read_bytes()).run(["mean"], seen)
    np.testing.assert_allclose(row[2], mean[0], atol=1e-6)


def test_learning_brings_it_nearer_to_equilibrium(finished):
    checks = [row for row in metrics(finished[0]) if row["kind"] == "check"]
    assert checks[-1]["relative"] < 0.5 * checks[0]["relative"]
    assert all(row["nash_conv"] >= 0 and 0 < row["ani"] <= 1 for row in checks)


def test_after_a_kill_and_a_ctrl_c_a_run_goes_on_to_the_same_result(finished, tmp_path):
    calm, _ = finished
    run = tmp_path / "war"
    going = subprocess.Popen(command(tmp_path), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _await(lambda: checkpoints(run), going)
    subprocess.run(["kill", "-9", str(pids(run)["trainer"])], check=True)
    _await(lambda: starts(run) == [False, True] and None not in pids(run).values(), going)  # the launcher's next one
    running = list(pids(run).values())
    going.send_signal(signal.SIGINT)
    going.communicate(timeout=100)
    assert going.returncode == 128 + signal.SIGINT
    assert len(running) == 7 and not any(Path(f"/proc/{pid}").exists() for pid in running)
    done = subprocess.run(command(tmp_path, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert starts(run) == [False, True, True]
    assert last_check(run)["actions"] == last_check(calm)["actions"]


def starts(run):
    return [row["resumed"] for row in metrics(run) if row["kind"] == "start"]


def checkpoints(run):
    return list(run.glob("checkpoint/*.safetensors"))


def _await(ready, process, seconds=60.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert process.poll() is None, process.communicate()[0].decode()
        if ready():
            return
        time.sleep(0.05)
    raise AssertionError("not ready in time")
