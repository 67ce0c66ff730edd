"""What is written of a measurement, and what is true of it later."""

import json
import math
from types import SimpleNamespace

import pytest

from bench import provenance, stored
from bench.report import Row
from bench.sources import Measured, Sources

CODE, OTHER = Measured("c0de", ()), Measured("07he4", ())
GOOD = Row("speed", [3.0, 1.0, 2.5, 9.0], "1/s", ">= 1", True)
BAD = Row("size", [5.0], "B", "<= 4", False)
TOLD = Row("colour", [7.0], "", "for information", True)
MISSING = Row.missing("peer", ">= 2", "not installed")


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results" / "new")
    monkeypatch.setattr(stored, "QUICK", tmp_path / "quick" / "new")
    monkeypatch.setattr(provenance, "commit", lambda files: f"commit of {len(files)}")
    monkeypatch.setattr(provenance, "machine", lambda: {"cores": 2})
    return tmp_path


def written(*rows, before=CODE, after=CODE, quick=False, seconds=1.26):
    path = stored.write("some", rows, before, after, quick=quick, seconds=seconds)
    return path, json.loads(path.read_text())


def test_figures_are_written_with_all_that_they_speak_of(folders):
    path, found = written(GOOD, before=Measured("c0de", (folders, folders)), after=Measured("c0de", (folders, folders)))
    assert path == folders / "results/new/some.json"
    date = found.pop("date")
    assert len(date) == len("2026-01-31T12:00:00+0000")
    assert found == {
        "name": "some", "command": "python -m bench some", "commit": "commit of 2", "code": "c0de",
        "machine": {"cores": 2}, "seconds": 1.3, "verdict": "holds", "holds": True,
        "rows": [{"name": "speed", "unit": "1/s", "median": 2.75, "min": 1.0, "max": 9.0,
                  "values": [3.0, 1.0, 2.5, 9.0], "target": ">= 1", "verdict": "holds", "holds": True}],
    }  # fmt: skip


def test_files_end_with_a_line_and_are_indented(folders):
    path, _ = written(GOOD)
    lines = path.read_text().split("\n")
    assert lines[0] == "{" and lines[1] == '  "name": "some",' and lines[-2:] == ["}", ""]


def test_quick_answers_lie_elsewhere_and_results_stay(folders):
    path, _ = written(GOOD)
    before = path.read_text()
    quick, found = written(BAD, quick=True)
    assert quick == folders / "quick/new/some.json" and path.read_text() == before
    assert found["command"] == "python -m bench some --quick"
    assert written(BAD)[0] == path  # into a folder that is there already


@pytest.mark.parametrize(
    ("rows", "verdict", "holds"),
    [
        ([GOOD, TOLD], "holds", True),
        ([TOLD], "for information", True),
        ([GOOD, BAD, TOLD], "falls short", False),
        ([GOOD, MISSING], "not measured", False),
        ([MISSING, BAD], "falls short", False),
        ([], "not measured", False),
    ],
)
def test_the_gravest_row_is_the_verdict(rows, verdict, holds):
    _, found = written(*rows)
    assert (found["verdict"], found["holds"]) == (verdict, holds)


def test_a_row_without_figures_has_no_median():
    _, found = written(MISSING)
    assert found["rows"] == [
        {"name": "peer", "unit": "", "values": [], "target": ">= 2; not installed", "verdict": "not measured",
         "holds": False}
    ]  # fmt: skip


def test_what_is_true_later():
    path, found = written(BAD, seconds=61.04)
    assert stored.state(path, "c0de") == stored.State("falls short", 61.0, found["date"])
    assert stored.state(path, "07he4") == stored.State("stale", 61.0, found["date"])
    never = stored.state(path.with_name("none.json"), "c0de")
    assert (never.now, never.date) == ("never measured", "") and math.isnan(never.seconds)


def test_code_that_changed_in_the_meantime_is_stale_whatever_it_is():
    path, found = written(GOOD, after=OTHER)
    assert found["code"] == "changed while it was measured"
    assert {stored.state(path, digest).now for digest in ("c0de", "07he4")} == {"stale"}
    # Another file of the same code is another code too: something moved while it ran.
    _, found = written(GOOD, after=Measured("c0de", (path,)))
    assert found["code"] == "changed while it was measured"


@pytest.mark.parametrize(
    ("now", "to_be_run"),
    [("stale", True), ("never measured", True), ("holds", False), ("falls short", False), ("not measured", False)],
)
def test_what_is_to_be_run(now, to_be_run):
    assert stored.State(now).to_be_run is to_be_run


def test_states_are_those_of_the_folder(folders, monkeypatch):
    (folders / "bench").mkdir()
    (folders / "bench/some.py").write_text("SIZE = 1\n")
    (folders / "also.txt").write_text("x")
    monkeypatch.setattr(stored, "Sources", lambda: Sources(folders))
    module = SimpleNamespace(__name__="bench.some", ALSO=("also.txt",))
    code = stored.measured(module, Sources(folders))
    assert {path.name for path in code.files} == {"some.py", "also.txt"}
    path, _ = written(GOOD, before=code, after=code)
    assert {name: state.now for name, state in stored.states({"some": module, "none": module}).items()} == {
        "some": "holds", "none": "never measured"
    }  # fmt: skip
    elsewhere = folders / "elsewhere"
    elsewhere.mkdir()
    assert stored.states({"some": module}, elsewhere)["some"].now == "never measured"
    path.rename(elsewhere / path.name)
    assert stored.states({"some": module}, elsewhere)["some"].now == "holds"
    (folders / "also.txt").write_text("y")
    assert stored.states({"some": module}, elsewhere)["some"].now == "stale"


def test_what_a_measurement_leaves_out_is_asked_of_it(folders):
    (folders / "bench").mkdir()
    (folders / "bench/some.py").write_text("SIZE = 1\n")
    with pytest.raises(ValueError, match=r"WITHOUT: .* got chess"):
        stored.measured(SimpleNamespace(__name__="bench.some", WITHOUT=("chess",)), Sources(folders))
