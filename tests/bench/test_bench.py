"""The runner of measurements."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import bench.__main__ as runner
from bench.report import Row

GOOD = Row("speed", [3.0, 1.0, 2.0], "1/s", ">= 1", True)
BAD = Row("error", [0.5], "", "<= 0.1", False)


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    good = SimpleNamespace(TITLE="all is well", run=lambda quick: [GOOD])
    bad = SimpleNamespace(TITLE="all is not", run=lambda quick: [GOOD, BAD])
    monkeypatch.setattr(runner, "measurements", lambda: {"good": good, "bad": bad})
    monkeypatch.setattr(runner.write, "__kwdefaults__", {"folder": tmp_path})
    return tmp_path


def test_list(fakes, capsys):
    assert runner.main([]) == 0
    assert "all is well" in capsys.readouterr().out


def test_what_holds_ends_with_0_and_is_written(fakes, capsys):
    assert runner.main(["good", "--quick"]) == 0
    assert "holds" in capsys.readouterr().out
    result = json.loads((fakes / "good.json").read_text())
    assert result["command"] == "python -m bench good --quick"
    assert {"date", "commit", "machine", "seconds"} <= set(result)
    assert result["rows"][0] == {
        "name": "speed", "unit": "1/s", "median": 2.0, "min": 1.0, "max": 3.0, "values": [3.0, 1.0, 2.0],
        "target": ">= 1", "holds": True,
    }  # fmt: skip


def test_what_falls_short_ends_with_1(fakes, capsys):
    assert runner.main(["bad"]) == 1
    assert "falls short" in capsys.readouterr().out
    assert json.loads((fakes / "bad.json").read_text())["holds"] is False


def test_an_unknown_name(fakes, capsys):
    with pytest.raises(SystemExit) as caught:
        runner.main(["fast"])
    assert caught.value.code == 2
    assert "expected one of good, bad, got 'fast'" in capsys.readouterr().err


def test_every_module_can_be_listed():
    for module in runner.measurements().values():
        assert isinstance(module.TITLE, str)
