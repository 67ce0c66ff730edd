"""The page about environments of one's own, pasted."""

import json
import re

from bench.processes import ROOT
from tests.support.docs import paste


def test_the_page_about_hosting_works_as_it_stands(tmp_path):
    adversary, connect_four, driven, trained, resumed = paste(ROOT / "docs" / "doors" / "host.md", tmp_path)
    assert re.search(r"adversary_0 +scripted:random +-?[\d.]+", adversary) and "8 episodes, 200 steps" in adversary
    assert re.search(r"player_1 +scripted:random", connect_four) and "8 episodes" in connect_four
    assert re.fullmatch(r"boat_0 caught 0\.\d+, and 0\.\d+ is left in the lake\n", driven), driven
    assert "steps        2,0" in trained and "report: runs/lake/report.html" in trained
    assert "steps        3,0" in resumed
    rows = [json.loads(line) for line in (tmp_path / "runs" / "lake" / "metrics.jsonl").read_text().splitlines()]
    assert [row["resumed"] for row in rows if row["kind"] == "start"] == [False, True]
