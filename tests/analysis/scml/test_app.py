"""The analyzer as a process: what it serves, what it refuses, and what it says when a run is broken."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from tests.analysis.scml.conftest import Server, SyntheticRun

WORLD = "/runs/league/worlds/a_s0001"
PAGES = {
    "/": "league",
    "/runs/league": "b_s0002",
    "/runs/league?variant=a&seed=2": "a_s0002",
    "/runs/league?variant=&seed=": "b_s0002",
    "/runs/league?variant=none": "No world has this variant and seed",
    "/runs/league/league": "Standings by level",
    "/runs/league/league?against=a": "+0.150 ± 0.635",
    "/runs/league/unsafe": "certain shortfall",
    "/runs/league/unsafe?kind=U3": "No finding fits these filters",
    WORLD: "digest of a_s0001",
    f"{WORLD}/factories/1.0": "Inventory against target",
    f"{WORLD}/negotiations": "6 negotiations",
    f"{WORLD}/negotiations?day=1&factory=0.1&agreed=true": "1 negotiations",
    f"{WORLD}/negotiations?unsafe=true&number=7": "No negotiation fits",
    f"{WORLD}/negotiations/1": "5 units at 12 each, on day 1",
    f"{WORLD}/negotiations/4": "No answer of this negotiation was logged",
    "/static/replay.js": "use strict",
}


@pytest.mark.parametrize("path", PAGES)
def test_pages(server: Server, path: str) -> None:
    answer = server.get(path)
    assert (answer.status, PAGES[path] in answer.text) == (200, True)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not any(word in answer.text for word in (" style=", "<style", "onclick=", "//cdn"))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/runs/other", "There is no run &#39;other&#39;"),
        ("/runs/other/league", "There is no run &#39;other&#39;"),
        ("/runs/league/worlds/c_s0001", "has no world &#39;c_s0001&#39;"),
        (f"{WORLD}/factories/7.7", "has no factory &#39;7.7&#39;"),
        (f"{WORLD}/negotiations/77", "has no negotiation 77"),
        (f"{WORLD}/negotiations/x", "negotiation: "),
        (f"{WORLD}/negotiations/{10**30}", "negotiation: "),
        ("/nowhere", "There is no page /nowhere"),
        ("/docs", "There is no page /docs"),
    ],
)
def test_what_is_not_there(server: Server, path: str, words: str) -> None:
    answer = server.get(path)
    assert (answer.status, words in answer.text) == (404, True)
    assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    ("query", "words"),
    [("day=x", "day: "), ("day=-1", "day: "), ("number=0", "number: "), ("agreed=maybe", "agreed: ")],
)
def test_what_is_not_understood(server: Server, query: str, words: str) -> None:
    answer = server.get(f"{WORLD}/negotiations?{query}")
    assert (answer.status, words in answer.text) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..",
        "/runs/%2e%2e/league",
        "/runs/..%2foutside",
        "/runs/%2e%2e%2foutside/worlds/a_s0001",
        "/runs/league/worlds/..%2f..%2f..%2f..%2foutside%2ftables%2fworlds%2fa_s0001",
        "/runs/league/worlds/..%5c..%5ca_s0001",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2ftemplates%2fbase.html.j2",
        "/static//etc/passwd",
        "//etc/passwd",
    ],
)
def test_no_path_leads_out(server: Server, path: str) -> None:
    answer = server.get(path)
    assert answer.status == 404
    assert not any(word in answer.text for word in ("digest of", "create_app", "block crumbs", "root:"))


def test_text_from_a_run_cannot_become_markup(serving: Callable[[Path], Any], synthetic: SyntheticRun) -> None:
    hostile = "<script>alert(1)</script>"
    synthetic.variants["a"] = hostile
    run = synthetic.write()
    (run / "league.json").write_text(json.dumps({"rows": [{"variant": hostile, "mean": 1.0}]}))
    (run / "run.json").write_text(json.dumps({"kind": hostile, hostile: [hostile]}))
    with serving(run.parent) as server:
        for path in ("/", "/runs/league", "/runs/league/league", "/runs/league/unsafe", WORLD, f"/{hostile}"):
            answer = server.get(path.replace("<", "%3C"))
            assert "alert(1)" in answer.text
            assert "<script>" not in answer.text


def test_only_asked_by_names_of_this_machine(server: Server) -> None:
    assert server.get("/", host="localhost:1").status == 200
    assert server.get("/", host="evil.example").status == 400


def test_the_league_as_it_was_written(serving: Callable[[Path], Any], synthetic: SyntheticRun) -> None:
    run = synthetic.write()
    rows = [{"variant": "penguin", "mean": 1.05, "n": 54}, {"variant": "other", "paired_to": None}]
    (run / "league.json").write_text(json.dumps({"rows": rows}))
    with serving(run) as server:
        text = server.get("/runs/league/league").text
    assert "As the league wrote it" in text
    assert "<td>1.05</td>" in text


def test_an_audit_that_is_still_to_come(serving: Callable[[Path], Any], synthetic: SyntheticRun) -> None:
    run = synthetic.write(audit=False)
    with serving(run.parent) as server:
        for path in ("/runs/league", "/runs/league/unsafe", WORLD, f"{WORLD}/negotiations"):
            answer = server.get(path)
            assert (answer.status, f"python -m analysis.scml.audit {run}" in answer.text) == (200, True)
        assert server.get(f"{WORLD}/negotiations/1").status == 200


def test_runs_without_worlds(serving: Callable[[Path], Any], tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert "There are no runs" in server.get("/").text
        (tmp_path / "begun").mkdir()
        (tmp_path / "begun" / "run.json").write_text('{"kind": "league"}')
        assert "begun" in server.get("/").text
        assert "No world of this run has been logged" in server.get("/runs/begun").text
        assert "No focal factories" in server.get("/runs/begun/league").text
        (tmp_path / "begun" / "run.json").unlink()
        (tmp_path / "begun").rmdir()
        tmp_path.rmdir()
        assert server.get("/").status == 500


def test_a_broken_table_is_named_and_leaves_the_rest(serving: Callable[[Path], Any], synthetic: SyntheticRun) -> None:
    run = synthetic.write()
    decisions = run / "tables" / "decisions" / "a_s0001.parquet"
    pq.write_table(pq.read_table(decisions).drop_columns(["edited"]), decisions)
    (run / "tables" / "days" / "a_s0002.parquet").unlink()
    (run.parent / "torn" / "tables" / "worlds").mkdir(parents=True)
    (run.parent / "torn" / "tables" / "worlds" / "x.parquet").write_bytes(b"nothing")
    with serving(run.parent) as server:
        answer = server.get(f"{WORLD}/negotiations/1")
        assert (answer.status, "a_s0001.parquet: expected a column &#39;edited&#39;" in answer.text) == (500, True)
        answer = server.get("/runs/league/worlds/a_s0002")
        assert (answer.status, "days/a_s0002.parquet: expected a table, found no file" in answer.text) == (500, True)
        assert server.get("/runs/league/worlds/b_s0001").status == 200
        answer = server.get("/")
        assert (answer.status, "x.parquet: expected a Parquet table" in answer.text) == (200, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--listen", "0.0.0.0:0"], "listen: expected a loopback address"),
        (["--listen", "example.org:80"], "listen: expected a loopback address"),
        (["--listen", "8765"], "listen: expected HOST:PORT, got '8765'"),
        (["--listen", "127.0.0.1:99999"], "listen: expected HOST:PORT"),
    ],
)
def test_addresses_refused(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run_to_its_end(tmp_path, *arguments)
    assert (done.returncode, words in done.stderr) == (2, True)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = run_to_its_end(tmp_path / "nowhere")
    assert (done.returncode, f"found none at {tmp_path / 'nowhere'}" in done.stderr) == (2, True)


def run_to_its_end(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analysis.scml", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_other_addresses_if_told_to_and_ctrl_c(league: Path) -> None:
    command = [sys.executable, "-m", "analysis.scml", str(league), "--listen", "0.0.0.0:0", "--insecure"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline().startswith("http://0.0.0.0:")
    process.send_signal(signal.SIGINT)
    _, complaints = process.communicate(timeout=60)
    assert "Traceback" not in complaints


def test_an_address_that_is_taken(server: Server, league: Path) -> None:
    done = run_to_its_end(league, "--listen", server.address.split("/")[2])
    assert (done.returncode, "Address already in use" in done.stderr) == (1, True)
