"""The runner of measurements: what it prints, writes, and says about what it wrote before."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import bench.__main__ as runner
from bench import readme, stored
from bench.report import Row, Verdict, verdict
from bench.sources import Sources
from bench.stored import State

GOOD = Row("speed", [3.0, 1.0, 2.0], "1/s", ">= 1", True)
BAD = Row("error", [0.5], "", "<= 0.1", False)
TOLD = Row("size", [7.0], "", "for information", True)
MISSING = Row.missing("ours / theirs", ">= 2", "not there; make peers builds it")
ROWS = {"good": [TOLD, GOOD], "bad": [GOOD, MISSING, BAD], "half": [GOOD, MISSING], "none": []}
CODE = "TITLE = {!r}\nLIMIT = 1\n"


@pytest.fixture
def fakes(monkeypatch, tmp_path):
    """Measurements of code in a folder of their own, with results there."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "bench").mkdir()
    found = {}
    for name, rows in ROWS.items():
        (tmp_path / f"bench/{name}.py").write_text(CODE.format(f"all is {name}"))
        found[name] = SimpleNamespace(
            __name__=f"bench.{name}", TITLE=f"all is {name}", run=lambda quick, rows=rows: rows
        )
    monkeypatch.setattr(runner, "measurements", lambda: found)
    monkeypatch.setattr(runner, "Sources", lambda: Sources(tmp_path))
    monkeypatch.setattr(stored, "Sources", lambda: Sources(tmp_path))
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(stored, "QUICK", tmp_path / "quick")
    return tmp_path


def result(fakes, name, folder="results"):
    return json.loads((fakes / folder / f"{name}.json").read_text())


def told(capsys):
    return " ".join(capsys.readouterr().out.split())


def test_what_holds_ends_with_0_and_is_written(fakes, capsys):
    assert runner.main(["good"]) == 0
    said = told(capsys)
    assert "speed 2 1/s 1 – 3 3 >= 1 holds" in said and "7 – 7 1 for information for information" in said
    found = result(fakes, "good")
    assert found["command"] == "python -m bench good"
    assert {"date", "commit", "machine", "seconds", "code"} <= set(found)
    assert found["verdict"] == "holds" and found["holds"] is True
    assert found["rows"][1] == {
        "name": "speed", "unit": "1/s", "median": 2.0, "min": 1.0, "max": 3.0, "values": [3.0, 1.0, 2.0],
        "target": ">= 1", "verdict": "holds", "holds": True,
    }  # fmt: skip


def test_what_falls_short_ends_with_1(fakes, capsys):
    assert runner.main(["bad"]) == 1
    assert "falls short" in told(capsys)
    found = result(fakes, "bad")
    assert found["verdict"] == "falls short" and found["holds"] is False


@pytest.mark.parametrize("name", ["half", "none"])
def test_what_could_not_be_measured_does_not_hold(fakes, name):
    assert runner.main([name]) == 3
    found = result(fakes, name)
    assert found["verdict"] == "not measured" and found["holds"] is False


def test_a_missing_peer_is_told_with_what_brings_it(fakes, capsys):
    runner.main(["half"])
    assert ">= 2; not there; make peers builds it not measured" in told(capsys)
    assert result(fakes, "half")["rows"][1] == {
        "name": "ours / theirs", "unit": "", "values": [], "target": ">= 2; not there; make peers builds it",
        "verdict": "not measured", "holds": False,
    }  # fmt: skip


def test_a_quick_answer_overwrites_no_result(fakes, capsys):
    runner.main(["good"])
    before = (fakes / "results/good.json").read_text()
    assert runner.main(["good", "--quick"]) == 0
    assert (fakes / "results/good.json").read_text() == before
    assert f"written to {fakes / 'quick' / 'good.json'}" in told(capsys)
    assert result(fakes, "good", "quick")["command"] == "python -m bench good --quick"


def test_a_quick_answer_is_no_result(fakes):
    runner.main(["good", "--quick"])
    assert not (fakes / "results").exists()
    assert stored.states(runner.measurements())["good"].now == "never measured"


def test_the_list_tells_what_is_true_now(fakes, capsys):
    for name in ("good", "bad", "half"):
        runner.main([name])
    capsys.readouterr()
    assert runner.main([]) == 0
    said = told(capsys)
    for words in ("good all is good holds", "bad all is bad falls short", "half all is half not measured"):
        assert words in said
    assert "none all is none never measured" in said


def test_stale_lists_what_other_code_measured(fakes, capsys):
    for name in ROWS:
        runner.main([name])
    capsys.readouterr()
    assert runner.main(["--stale"]) == 0
    assert told(capsys) == "every result is of the present code"
    (fakes / "bench/good.py").write_text(CODE.format("all is good").replace("1", "2"))
    assert runner.main(["--stale"]) == 1
    said = told(capsys)
    assert "good stale" in said and "bad" not in said and "1 to be run anew" in said
    runner.main([])
    said = told(capsys)
    assert "good all is good stale" in said and "bad all is bad falls short" in said


def test_stale_lists_the_quickest_first_and_how_long_they_took(fakes, capsys):
    for name in ("good", "bad", "half"):
        runner.main([name])
    for name, seconds in (("good", 1800.0), ("bad", 30.0), ("half", 90.0)):
        path = fakes / f"results/{name}.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": seconds, "code": "other"}))
    capsys.readouterr()
    assert runner.main(["--stale"]) == 1
    said = told(capsys)
    places = [said.index(word) for word in ("bad stale", "half stale", "good stale", "none never measured unknown")]
    assert places == sorted(places)
    assert "1,800" in said and said.endswith("4 to be run anew, 32 minutes: python -m bench NAME")


def test_a_result_from_before_there_were_hashes_is_stale(fakes):
    runner.main(["good"])
    found = result(fakes, "good")
    del found["code"], found["verdict"]
    (fakes / "results/good.json").write_text(json.dumps(found))
    assert stored.states(runner.measurements())["good"].now == "stale"


def test_code_that_changes_while_it_is_measured_is_nobodys(fakes, capsys):
    def run(quick):
        (fakes / "bench/good.py").write_text("LIMIT = 5\n")
        return [GOOD]

    runner.measurements()["good"].run = run
    runner.main(["good"])
    assert "changed while it was measured" in told(capsys)
    assert stored.states(runner.measurements())["good"].now == "stale"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fast"], "expected one of good, bad, half, none, got 'fast'"),
        (["--quick"], "--quick: expected the name of a measurement beside it"),
        (["good", "--stale"], "name: expected none beside --stale and --readme"),
        (["good", "--readme"], "name: expected none beside --stale and --readme"),
    ],
)
def test_mistakes_on_the_command_line(fakes, capsys, words, said):
    with pytest.raises(SystemExit) as caught:
        runner.main(words)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_the_gravest_row_is_the_verdict():
    assert verdict([TOLD]) == Verdict.TOLD
    assert verdict([TOLD, GOOD]) == Verdict.HOLDS
    assert verdict([MISSING, GOOD]) == Verdict.NOT_MEASURED
    assert verdict([BAD, MISSING, GOOD]) == Verdict.FALLS_SHORT
    assert Row("score", [1.0], "", "reported; thesis 2", True).verdict == Verdict.TOLD
    assert Row("score", [1.0], "", "for information", False).verdict == Verdict.FALLS_SHORT


PAGE = """# Title

| name | question | measured on 2 cores (target) |
|---|---|---|
| `good` | is it? | 5 (4) |
| `bad`, `half` | and these? | see | below |

The end.
"""
MARKED = """# Title

| name | question | measured on 2 cores (target) | now |
|---|---|---|---|
| `good` | is it? | 5 (4) | holds |
| `bad`, `half` | and these? | see | *stale* |

The end.
"""
STATES = {"good": State("holds"), "bad": State("falls short"), "half": State("stale")}


def test_the_table_is_marked():
    page = PAGE.replace("see | below", "see")
    assert readme.marked(page, STATES) == MARKED
    assert readme.marked(MARKED, STATES) == MARKED
    later = {**STATES, "good": State("stale"), "half": State("for information")}
    told = readme.marked(MARKED, later)
    assert "5 (4) | *stale* |" in told and "see | *falls short* |" in told


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("# Title\n", "expected a table that begins"),
        (MARKED.replace("`good`", "`goods`"), "expected a row for every measurement, got none for good"),
        (MARKED.replace("`good`", "`good`, `fine`"), "expected the name of a measurement, got fine"),
        (MARKED.replace("`good`", "good", 1).replace("`bad`", "`good`, `bad`"), "got a row without"),
    ],
)
def test_a_table_that_cannot_be_marked(page, said):
    with pytest.raises(ValueError, match=said):
        readme.marked(page, STATES)


def test_the_readme_says_what_the_results_say():
    """A figure of other code than the present is marked as stale: ``python -m bench --readme``."""
    text = readme.PAGE.read_text()
    assert text == readme.marked(text, stored.states(runner.measurements()))


def test_every_module_can_be_listed():
    for module in runner.measurements().values():
        assert isinstance(module.TITLE, str)
