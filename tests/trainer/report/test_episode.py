"""The moving picture of one logged episode."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import sync_playwright

from tests.support.tools import CHROMIUM, needs
from tests.trainer.report.conftest import fixed
from tests.trainer.report.test_page import FLAGS
from trainer.report.arena import episode_figure
from trainer.report.data import load_run
from trainer.report.page import write_report

AGENTS = ["hunter", "prey"]
ENTITIES = [
    {"name": "hunter", "size": 0.2, "role": "adversary"},
    {"name": "prey", "size": 0.1, "role": "agent"},
    {"name": "home", "size": 0.3, "role": "landmark"},
    {"name": "tree", "size": 0.3, "role": "landmark"},
]
STEPS = 5


def block(number, log_prob=0.0, goal=2):
    """Two copies; the prey walks to the right, copy 1 farther up; the hunter runs off."""
    step, copy = np.repeat(np.arange(STEPS), 2), np.tile([0, 1], STEPS)
    places = np.zeros((2 * STEPS, 4, 2))
    places[:, 0, 1] = -1.5 * step
    places[:, 1] = np.stack([0.1 * step + number, 0.5 * copy], axis=1)
    rows = len(step)
    columns = {
        "block": np.full(rows, number, np.uint64),
        "step": step.astype(np.uint32),
        "copy": copy.astype(np.uint32),
        "info.positions": fixed(places),
        "info.goal": np.full(rows, goal),
    }
    for agent, reward in zip(AGENTS, (-1.0, 2.0), strict=True):
        columns[f"{agent}.log_prob"] = np.full(rows, log_prob, np.float32)
        columns[f"{agent}.reward"] = np.full(rows, reward)
    return pa.table(columns)


@pytest.fixture
def folder(tmp_path):
    arena = {"positions": "positions", "goal": "goal", "half_width": 1.0, "entities": ENTITIES}
    environment = {"name": "mpe", "agents": AGENTS, "facts": {"arena": arena}}
    (tmp_path / "environment.json").write_text(json.dumps(environment))
    (tmp_path / "trajectories").mkdir()
    return tmp_path


def write(folder, *parts):
    for number, blocks in enumerate(parts):
        table = pa.concat_tables([block(*one) for one in blocks])
        pq.write_table(table.take(np.arange(table.num_rows)[::-1]), folder / "trajectories" / f"part-{number}.parquet")


@pytest.mark.parametrize(
    ("parts", "caption"),
    [
        ([[(0,), (1,)], [(2, -0.3)]], "Block 1, copy 0, without exploration"),
        ([[(0, -0.1)], [(1, -0.2), (2, -0.3)]], "Block 2, copy 0, exploration included"),
        ([[(0,)], [(1,), (2, -0.3)], [(3, -0.3)]], "Block 1, copy 0, without exploration"),
    ],
)
def test_the_last_episode_that_nobody_explored_in(folder, parts, caption):
    write(folder, *parts)
    assert episode_figure(load_run(folder)).caption.startswith(caption)


def test_everything_is_drawn_to_scale_step_by_step(folder):
    write(folder, [(0,)])
    figure = episode_figure(load_run(folder))
    assert [frame["name"] for frame in figure.frames] == ["1", "2", "3", "4", "5"]
    prey = figure.frames[3]["data"][1]
    assert (min(prey["x"]), max(prey["x"])) == pytest.approx((0.2, 0.4), abs=1e-3)
    assert (min(prey["y"]), max(prey["y"])) == pytest.approx((-0.1, 0.1), abs=2e-3)
    way = figure.frames[3]["data"][5]
    assert way == {"x": [0.0, 0.1, 0.2, 0.3], "y": [0.0, 0.0, 0.0, 0.0]}
    assert figure.layout["yaxis"]["range"] == [-6.3, 6.3]  # the hunter ends at -6, and circles are up to 0.3
    assert [trace["name"] for trace in figure.data[:4]] == ["hunter", "prey", "home (goal)", "tree"]
    assert figure.data[2]["fillcolor"] == "--good/0.35" and figure.data[1]["fillcolor"] == "--agent-1/0.75"
    assert [list(row) for row in figure.table.rows][1] == ["prey", "agent", "0, 0", "0.4, 0", "10"]


def test_what_is_missing_or_torn_is_left_out(folder):
    assert episode_figure(load_run(folder)) is None
    write(folder, [(0,)])
    (folder / "trajectories" / "part-1.parquet").write_bytes(b"torn")
    assert episode_figure(load_run(folder)).caption.startswith("Block 0")
    text = write_report(folder).read_text()
    assert '"frames":[{"name":"1"' in text and "What they do" in text
    environment = json.loads((folder / "environment.json").read_text())
    environment["facts"] = {}
    (folder / "environment.json").write_text(json.dumps(environment))
    assert "What they do" not in write_report(folder).read_text()


@needs("Chromium")
def test_a_browser_plays_it(folder):
    write(folder, [(0,)])
    path = write_report(folder)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
        page = browser.new_page()
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-drawn]")
        assert page.evaluate("document.getElementById('episode').data[5].x") == [0.0]
        page.locator(".updatemenu-button").first.click()
        for _ in range(200):
            if len(page.evaluate("document.getElementById('episode').data[5].x")) == STEPS:
                break
            page.wait_for_timeout(50)
        assert page.evaluate("document.getElementById('episode').data[5].x") == [0.0, 0.1, 0.2, 0.3, 0.4]
        assert complaints == []
