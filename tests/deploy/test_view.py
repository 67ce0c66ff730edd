"""What is shown, on rows as the trainer writes them."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from deploy.metrics_tail import MetricsTail, Standing
from deploy.result import print_result
from deploy.view import View, line, number, percent, table

AGENTS = ("station_0", "station_1")
ROUND = {
    "kind": "round", "round": 12, "time": 1.0, "environment_steps": 3072, "steps_per_second": 512.4,
    "rewards": {"station_0": 101.25, "station_1": -3.5}, "versions": {"station_0": [1, 12], "station_1": [1, 12]},
    "noise": 0.1881, "losses": {"critic": 0.5},
}  # fmt: skip
CHECK = {
    "kind": "check", "round": 10, "time": 1.0, "environment_steps": 2560, "nash_conv": 12.5,
    "nash_conv_estimated": 10.0, "relative": 0.0042, "relative_estimated": 0.0034, "ani": 0.9981,
    "payoffs": {"station_0": 2000.0, "station_1": 1000.0},
    "best_response_payoffs": {"station_0": 2010.0, "station_1": 1002.5},
    "actions": {"station_0": [0.5, 0.25], "station_1": [0.0, 1.0]}, "evaluations": 4000,
}  # fmt: skip

PRACTICE = [
    {"kind": "start", "goal": "return", "epoch": 1},
    {
        "kind": "round", "round": 7, "environment_steps": 22_400, "steps_per_second": 2000.0, "updates": 224,
        "returns": {"station_0": -21.25, "station_1": -20.5}, "staleness": 32, "stale": 96, "noise": 0.3,
        "versions": {"station_0": [1, 192], "station_1": [1, 192]}, "losses": {}, "learner_cpu_seconds": 3.25,
    },
    {
        "kind": "evaluation", "round": 5, "environment_steps": 16_000, "episodes": 2000, "mean": -12.345,
        "standard_error": 0.125, "returns": {"station_0": -12.5, "station_1": -12.19},
        "standard_errors": {"station_0": 0.25, "station_1": 0.5},
    },
]  # fmt: skip


def service(name, state="ready", restarts=0):
    return SimpleNamespace(command=SimpleNamespace(name=name), state=state, restarts=restarts)


def view(*rows, **changes):
    standing = Standing()
    for row in rows:
        standing.add(row)
    services = {agent: [service(f"agent-{agent}")] for agent in AGENTS}
    everything = [service("registry"), *(s for group in services.values() for s in group)]
    settings = {"supervisors": everything, "agents": services, "notes": ["12:00:00 registry killed by SIGKILL"]}
    return View(
        "melbourne", standing, **{**settings, **changes}, limit=30_000, epsilon=0.001, began=time.monotonic() - 75
    )


def drawn(renderable):
    console = Console(width=100, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_table_shows_where_the_run_stands():
    text = drawn(table(view(ROUND, CHECK)))
    for words in (
        "melbourne · 1:15", "3,072 of at most 30,000", "512", "0:53", "0.42 % of profit (stops at 0.10 %)",
        "0.34 % of profit", "0.9981", "policy served", "reward per step",
        "station_0", "1.12", "101.25", "-3.50", "registry killed by SIGKILL",
    ):  # fmt: skip
        assert words in text, words


def test_nothing_yet():
    waiting = [service("registry"), service("env_server-0", "starting")]
    empty = view(supervisors=waiting, agents={})
    assert "waiting for env_server-0" in drawn(table(empty))
    assert line(empty) == "1:15 · waiting for env_server-0"


def test_one_line_for_logs():
    restarted = [service("trainer", "restarting", 2)]
    assert line(view(ROUND, CHECK, supervisors=restarted)) == (
        "1:15 · round 12 · evaluations 3,072/30,000 · 512 steps/s · rewards station_0=101.2 station_1=-3.5 · "
        "NashConv 0.42 % (estimated 0.34 %) · waiting for trainer · restarts 2"
    )


@pytest.mark.parametrize("missing", [{"kind": "round"}, {"kind": "round", "steps_per_second": None, "rewards": {}}])
def test_rows_with_gaps(missing):
    assert line(view(missing))
    assert drawn(table(view(missing, {"kind": "check", "relative": float("nan")})))


def test_figures():
    assert [number(x, 1) for x in (1234.56, None, float("nan"))] == ["1,234.6", "–", "–"]
    assert [percent(x) for x in (0.5, 0.0123, 0.00012, None)] == ["50.0 %", "1.2 %", "0.012 %", "–"]


def test_the_tail_waits_for_whole_lines_and_survives_torn_and_cut_ones(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = MetricsTail(path)
    assert tail.look().round == {}
    text = json.dumps(ROUND)
    path.write_text('{"kind": "start", "epoch": 1}\n{"kind": "ro\n' + text[:20])
    assert (tail.look().starts, tail.look().round) == (1, {})
    with path.open("a") as file:
        file.write(text[20:] + "\n" + json.dumps({"kind": "end", "reason": "budget"}) + "\n[1]\n")
    assert tail.look().round["round"] == 12
    assert tail.look().end["reason"] == "budget"
    path.write_text('{"kind": "start", "epoch": 2}\n')
    assert tail.look().start["epoch"] == 2
    assert tail.look().end == {}


def test_the_result_table():
    facts = {
        "currency": "AUD", "agent_titles": {"station_0": "Docklands"},
        "action": {"title": "price", "unit": "AUD/kWh", "low": 0.1, "high": 0.8},
    }  # fmt: skip
    standing = view(ROUND, CHECK, {"kind": "end", "reason": "converged", "round": 12}).standing
    console = Console(width=120)
    with console.capture() as capture:
        print_result(console, standing, {"agents": list(AGENTS), "facts": facts}, 91.26, {"trainer": 1, "registry": 0})
    text = capture.get()
    for words in (
        "Docklands", "0.3625", "0.4500", "2,000.00", "10.0000", "0.50 %", "nobody can gain by deviating",
        "0.42 % of total profit (12.5000; estimated 10.0000)", "91.3 s", "trainer 1",
    ):  # fmt: skip
        assert words in text, words


def test_a_result_without_a_check():
    console = Console(width=120)
    with console.capture() as capture:
        print_result(console, Standing(), {}, 1.0, {})
    assert "restarts" in capture.get()


def test_a_run_that_trains_for_return_shows_returns():
    text = drawn(table(view(*PRACTICE)))
    for words in (
        "22,400 of 30,000", "2,000", "0:04", "224", "32 updates", "-12.35 ± 0.12 at 16,000 steps",
        "return", "-21.25", "1.192",
    ):  # fmt: skip
        assert words in text, words
    assert "NashConv" not in text and "profit" not in text
    assert line(view(*PRACTICE)) == (
        "1:15 · round 7 · steps 22,400/30,000 · 2,000 steps/s · returns station_0=-21.2 station_1=-20.5 · "
        "evaluated -12.35 ± 0.12"
    )
    assert "returns –" in line(view(PRACTICE[0], {"kind": "round"}))
    assert drawn(table(view(PRACTICE[0])))


def test_the_result_of_a_run_that_trains_for_return():
    standing = view(*PRACTICE, {"kind": "end", "reason": "budget", "round": 7}).standing
    console = Console(width=120)
    with console.capture() as capture:
        print_result(console, standing, {"agents": list(AGENTS), "facts": {}}, 91.26, {})
    text = capture.get()
    for words in (
        "greedy, 2,000 episodes", "-12.500", "0.250", "stopped at max_environment_steps", "-12.35 ± 0.12 over agents",
        "22,400 joint actions", "224 in 3.2 s", "96 joint actions dropped", "91.3 s",
    ):  # fmt: skip
        assert words in text, words
    assert "NashConv" not in text
