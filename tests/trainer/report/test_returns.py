"""The report of a run that trains for return, on rows whose figures are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from trainer.report.data import Run, load_run
from trainer.report.learning import equilibrium_figures, training_figures
from trainer.report.metrics import read_metrics
from trainer.report.page import render
from trainer.report.returns import agent_table, evaluation_table, return_figure
from trainer.report.summary import headline, tiles

AGENTS = ["left", "right"]


def rows() -> Iterator[dict[str, Any]]:
    """Three rounds, and an evaluation before the first and after the third."""
    yield {"kind": "start", "time": 0.0, "epoch": 1, "goal": "return"}
    yield evaluation(0, -20.0)
    for number in (1, 2, 3):
        yield {
            "kind": "round", "round": number, "time": float(number), "environment_steps": 100 * number,
            "steps_per_second": 1000.0, "returns": dict.fromkeys(AGENTS, -9.0 - number), "updates": 4 * number,
            "versions": {agent: [1, 4 * max(0, number - 2)] for agent in AGENTS}, "staleness": 4 * min(1, number - 1),
            "stale": 8, "noise": 0.0, "epsilon": 0.25, "losses": {"critic": 1.0}, "learner_cpu_seconds": 2.5,
        }  # fmt: skip
    yield evaluation(3, -12.3)
    yield {"kind": "end", "time": 4.0, "reason": "budget", "round": 3}


def evaluation(number: int, mean: float) -> dict[str, Any]:
    return {
        "kind": "evaluation", "round": number, "time": number + 0.5, "environment_steps": 100 * number,
        "episodes": 2000, "returns": {"left": mean - 1.0, "right": mean + 1.0}, "mean": mean, "standard_error": 0.1,
        "standard_errors": {"left": 0.5, "right": 0.25},
    }  # fmt: skip


def write(folder: Path, given: list[dict[str, Any]]) -> Run:
    training = {"algorithm": "maddpg", "max_environment_steps": 300}
    (folder / "config.yaml").write_text(yaml.safe_dump({"name": "spread", "training": training}))
    (folder / "environment.json").write_text(json.dumps({"name": "mpe", "agents": AGENTS, "facts": {}}))
    (folder / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in given))
    return load_run(folder)


def test_the_headline_is_the_last_evaluation(tmp_path: Path) -> None:
    told = headline(write(tmp_path, list(rows())))
    assert told.sentence == "Mean return -12.3 ± 0.1 over 2,000 episodes at the last evaluation."
    assert (told.tone, told.status) == ("good", "Trained to the end of its budget")
    assert headline(write(tmp_path, list(rows())[:1])).sentence == "No evaluation was made."


def test_the_tiles_and_tables_say_what_was_learned(tmp_path: Path) -> None:
    run = write(tmp_path, list(rows()))
    shown = {tile.label: (tile.value, tile.note) for tile in tiles(run)}
    assert shown["Mean return"][0] == "-12.3 ± 0.1"
    assert shown["Updates"] == ("12", "2.5 s of the trainer's processor")
    assert shown["Too old to learn from"][0] == "8"
    assert shown["Rounds"] == ("3", "2 evaluations")
    assert "NashConv, verified" not in shown
    assert agent_table(run).rows[0] == ["left", "-13.300", "0.500", "-12.000", "1.4"]
    assert [row[3:5] for row in evaluation_table(run).rows] == [["0", "-20"], ["0", "-12.3"]]


def test_the_curve_has_bands_of_two_standard_errors(tmp_path: Path) -> None:
    figure = return_figure(write(tmp_path, list(rows())))
    assert figure is not None
    band = figure.data[0]
    assert band["x"] == [0.0, 300.0, 300.0, 0.0] and band["fillcolor"] == "--agent-0/0.14"
    assert band["y"] == pytest.approx([-21 + 0.98, -13.3 + 0.98, -13.3 - 0.98, -21 - 0.98])
    lines = {trace["name"]: trace for trace in figure.data[2:]}
    assert lines["right"]["y"] == [-19.0, -11.3] and lines["right, in training"]["y"] == [-10.0, -11.0, -12.0]


def test_what_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    run = write(tmp_path, list(rows()))
    assert equilibrium_figures(run) == []
    assert [figure.id for figure in training_figures(run)] == ["versions", "staleness", "epsilon", "speed"]
    page = render(run)
    assert "All 2 evaluations" in page and "Is it an equilibrium?" not in page
    assert return_figure(write(tmp_path, list(rows())[:1])) is None


def test_rounds_that_are_played_again_replace_later_evaluations(tmp_path: Path) -> None:
    run = list(rows())
    again = [*run[:-1], {**run[0], "epoch": 2, "resumed": True}, run[4], evaluation(3, -11.0)]
    write(tmp_path, again)
    found = read_metrics(tmp_path / "metrics.jsonl")
    assert [(e.round, e.mean) for e in found.evaluations] == [(0, -20.0), (3, -11.0)]
    write(tmp_path, [*run[:-1], {**run[0], "epoch": 2}, run[3]])
    assert [e.round for e in read_metrics(tmp_path / "metrics.jsonl").evaluations] == [0]
