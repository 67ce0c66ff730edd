"""The file: whole, self-contained, safe against what a run folder may hold, and drawn by a real browser."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import tools
from trainer.report import write_report
from trainer.report.__main__ import main

if TYPE_CHECKING:
    from tests.trainer.report.conftest import SyntheticRun

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
MOST_BYTES = 6_000_000


class Page(HTMLParser):
    """Collects what the page would load, its ids and its text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = dict(attrs)
        self.loads += [values[key] or "" for key in ("src", "href", "data", "srcset", "action") if key in values]
        self.ids += [values["id"] or ""] if "id" in values else []


def figures(text: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found
    content: list[dict[str, Any]] = json.loads(found.group(1))
    return content


def test_loads_nothing_and_stays_small(synthetic: SyntheticRun) -> None:
    path = write_report(synthetic.write())
    text = path.read_text()
    page = Page(text)
    assert path == synthetic.directory / "report.html"
    assert page.loads == []
    assert not re.search(r"@import|url\(", text[: text.index("</style>")])
    assert len(page.ids) == len(set(page.ids))
    assert path.stat().st_size < MOST_BYTES
    assert str(synthetic.directory.parent) not in text


def test_every_figure_has_its_place_and_its_table(synthetic: SyntheticRun) -> None:
    text = write_report(synthetic.write()).read_text()
    page = Page(text)
    drawn = figures(text)
    assert {figure["id"] for figure in drawn} <= set(page.ids)
    assert page.tags.count("table") >= len(drawn)
    assert page.tags.count("figure") == page.tags.count("figcaption") == len(drawn)


def test_same_folder_same_bytes(synthetic: SyntheticRun) -> None:
    synthetic.write()
    first = write_report(synthetic.directory).read_bytes()
    assert write_report(synthetic.directory, synthetic.directory / "again" / "r.html").read_bytes() == first


def test_text_from_the_run_cannot_become_markup(synthetic: SyntheticRun) -> None:
    synthetic.write()
    hostile = "</script><script>alert(1)</script><img src=//evil.example>"
    environment = synthetic.environment()
    environment["facts"]["agent_titles"]["station_0"] = hostile
    (synthetic.directory / "environment.json").write_text(json.dumps(environment))
    (synthetic.directory / "config.yaml").write_text(json.dumps({"name": hostile, "training": {"epsilon": 0.001}}))
    text = write_report(synthetic.directory).read_text()
    page = Page(text)
    assert page.loads == []
    assert page.tags.count("script") == 3
    assert "<script>alert" not in text


@pytest.mark.parametrize("missing", ["config.yaml", "environment.json", "metrics.jsonl", "trajectories"])
def test_any_part_may_be_missing(synthetic: SyntheticRun, missing: str) -> None:
    path = synthetic.write() / missing
    path.rename(path.with_name("elsewhere"))
    assert "<h1>" in write_report(synthetic.directory).read_text()


@pytest.mark.parametrize("share", [0.0, 0.03, 0.31, 0.5, 0.98, 0.999])
def test_metrics_cut_off_anywhere(synthetic: SyntheticRun, share: float) -> None:
    path = synthetic.write() / "metrics.jsonl"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "Unfinished" in write_report(synthetic.directory).read_text()


@pytest.mark.parametrize("content", ["[1", "- a\n- b", "name: [", '{"facts": {"panels": [7, {"info": 3}]}}', "\udcff"])
def test_configuration_may_be_nonsense(synthetic: SyntheticRun, content: str) -> None:
    synthetic.write()
    for name in ("config.yaml", "environment.json"):
        (synthetic.directory / name).write_bytes(content.encode(errors="surrogateescape"))
    assert "<h1>" in write_report(synthetic.directory).read_text()


def test_command_line(synthetic: SyntheticRun, tmp_path: Path) -> None:
    synthetic.write()
    output = tmp_path / "out.html"
    command = [sys.executable, "-m", "trainer.report", synthetic.directory, "--output", output]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, str(output))


def test_command_line_refuses_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "expected a run folder" in capsys.readouterr().err


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    tools.require("Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=str(tools.CHROMIUM), args=FLAGS)
        yield started
        started.close()


def test_a_browser_draws_every_plot_offline(synthetic: SyntheticRun, browser: Any) -> None:
    path = write_report(synthetic.write())
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light", offline=True)
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_selector("body[data-drawn]")
    page.locator("summary", has_text="Losses").click()
    wanted = len(figures(path.read_text()))
    _until(page, f"document.querySelectorAll('.plot[data-drawn]').length === {wanted}")
    assert wanted == 19
    assert page.evaluate("[...document.querySelectorAll('.plot')].every((p) => p.querySelector('.main-svg'))")
    bars = page.evaluate("document.getElementById('panel-0-0').data[0].y")
    assert bars == pytest.approx(synthetic.prices(synthetic.rounds - 1)[0].tolist(), rel=1e-6)
    _on_a_phone_at_night(page)
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert complaints == []
    context.close()


def _until(page: Any, condition: str) -> None:
    """Ask from outside: the page's own security policy forbids playwright's ``wait_for_function``."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def _on_a_phone_at_night(page: Any) -> None:
    """The same page, narrow and dark: colours follow, and nothing is wider than the screen."""
    bar = "[...document.querySelectorAll('#panel-0-0 .bars path')].map((path) => getComputedStyle(path).fill)[0]"
    by_day = page.evaluate(bar)
    page.emulate_media(color_scheme="dark")
    _until(page, f"![undefined, '{by_day}'].includes({bar})")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
