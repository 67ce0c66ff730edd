"""A market's run as a person makes it, and what its report shows: the figures that the log holds."""

import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from playwright.sync_api import sync_playwright

from bench.processes import ROOT
from tests.support.tools import CHROMIUM, needs
from tests.trainer.report.test_page import FLAGS, figures

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

EXPERIMENT = {
    "environment": {"name": "market", "config": {"traders": 1, "steps": 60}},
    "training": {
        "algorithm": "ippo",
        "num_envs": 4,
        "max_environment_steps": 480,
        "log": True,
        "evaluate_every": 480,
        "evaluation": {"episodes": 2, "num_envs": 2},
    },
    "agents": {"together": True},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("market")
    (place / "market.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    words = ["run", str(place / "market.yaml"), "--runs-dir", str(place), "--name", "run"]
    done = subprocess.run([sys.executable, "-m", "deploy.cli", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "run"


@pytest.fixture(scope="module")
def rows(folder):
    """The last block's first copy, as the log has it."""
    part = sorted((folder / "trajectories").glob("*.parquet"))[-1]
    last = max(pq.read_table(part, columns=["block"])["block"].to_pylist())
    return pq.read_table(part, filters=[("block", "==", last), ("copy", "==", 0)]).sort_by("step")


def test_the_page_draws_what_the_log_says(folder, rows):
    page = (folder / "report.html").read_text()
    assert "<h2>Market</h2>" in page and "the newest 8 episodes" in page and rows.num_rows == 60
    drawn = [figure["data"] for figure in figures(page) if figure["id"].startswith("section-0-")]
    prices, inventories, profits, _, _ = drawn
    assert prices[1]["y"] == rows["info.mid"].to_pylist() and prices[2]["y"] == rows["info.volume"].to_pylist()
    assert prices[0]["y"] == pytest.approx(rows["info.worth"].to_pylist(), rel=1e-6)
    equity, inventory = (np.array(rows[f"info.{name}"].to_pylist()) for name in ("equity", "inventory"))
    assert [trace["name"] for trace in profits] == ["maker_0", "trader_0"]
    for agent in range(2):
        assert profits[agent]["y"] == (equity[:, agent] - equity[0, agent]).tolist()
        assert inventories[agent]["y"] == inventory[:, agent].tolist()


@needs("Chromium")
def test_a_browser_draws_it_offline(folder, rows):
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
        page = browser.new_context(offline=True).new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto((folder / "report.html").as_uri())
        page.wait_for_selector("body[data-drawn]")
        assert page.evaluate("document.getElementById('section-0-0').data[1].y") == rows["info.mid"].to_pylist()
        assert page.evaluate("document.querySelectorAll('#section-0-0 .bars path').length") == 60
        assert page.locator("[id^=section-0-][data-drawn]").count() == 5
        assert complaints == []
