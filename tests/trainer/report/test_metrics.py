"""Rows that are torn, repeated or cut off still tell the truth."""

from __future__ import annotations

import json
import math
from pathlib import Path

from trainer.report.metrics import Metrics, read_metrics


def read(tmp_path: Path, *lines: str) -> Metrics:
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(lines))
    return read_metrics(path)


def start(time: float, epoch: int = 1) -> str:
    return json.dumps({"kind": "start", "time": time, "epoch": epoch, "resumed": epoch > 1})


def played(number: int, time: float, noise: float = 0.1) -> str:
    row = {"kind": "round", "round": number, "time": time, "environment_steps": 100 * (number + 1), "noise": noise}
    return json.dumps(row)


def check(number: int, time: float, relative: float = 0.5) -> str:
    row = {
        "kind": "check",
        "round": number,
        "time": time,
        "environment_steps": 100 * (number + 1),
        "relative": relative,
    }
    return json.dumps(row)


def test_missing_file_is_an_empty_run(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "none.jsonl") == Metrics(starts=[], rounds=[], checks=[], evaluations=[])


def test_torn_last_line_is_counted_and_left_out(tmp_path: Path) -> None:
    metrics = read(tmp_path, start(0.0), played(0, 1.0), played(1, 2.0)[:-20])
    assert [r.round for r in metrics.rounds] == [0]
    assert metrics.unreadable == 1
    assert metrics.end is None


def test_rows_that_are_no_rows_are_counted(tmp_path: Path) -> None:
    metrics = read(tmp_path, "\0\0\0", "[]", "3", '{"kind": "comet"}', '{"kind": "round"}', played(0, 1.0))
    assert len(metrics.rounds) == 1
    assert metrics.unreadable == 5


def test_later_row_of_a_round_wins_and_drops_what_followed_the_earlier(tmp_path: Path) -> None:
    metrics = read(
        tmp_path,
        start(0.0),
        *(played(n, n + 1.0, noise=0.9) for n in range(5)),
        check(4, 5.5, relative=0.9),
        start(100.0, epoch=2),
        played(2, 101.0, noise=0.2),
        played(3, 102.0, noise=0.3),
    )
    assert [(r.round, r.noise) for r in metrics.rounds] == [(0, 0.9), (1, 0.9), (2, 0.2), (3, 0.3)]
    assert metrics.checks == []
    assert metrics.resumes() == [(200, 2)]


def test_check_may_stand_before_its_round(tmp_path: Path) -> None:
    metrics = read(tmp_path, start(0.0), check(0, 0.5, relative=0.3), played(0, 1.0))
    assert [c.relative for c in metrics.checks] == [0.3]


def test_wall_time_leaves_out_the_time_between_lives(tmp_path: Path) -> None:
    metrics = read(tmp_path, start(0.0), played(0, 7.0), start(1000.0, epoch=2), played(1, 1005.0))
    assert metrics.active_seconds == 12.0


def test_an_end_before_a_resume_is_no_end(tmp_path: Path) -> None:
    end = json.dumps({"kind": "end", "time": 2.0, "reason": "budget", "round": 0})
    assert read(tmp_path, start(0.0), played(0, 1.0), end).end is not None
    assert read(tmp_path, start(0.0), played(0, 1.0), end, start(9.0, epoch=2)).end is None


def test_null_and_nan_read_as_not_a_number(tmp_path: Path) -> None:
    row = '{"kind": "check", "round": 0, "environment_steps": 1, "relative": null, "ani": NaN, "payoffs": {"a": null}}'
    only = read(tmp_path, row).checks[0]
    assert math.isnan(only.relative)
    assert math.isnan(only.ani)
    assert math.isnan(only.payoffs["a"])
