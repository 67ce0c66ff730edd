"""The page about agents of one's own, pasted."""

import re

from bench.processes import ROOT
from tests.support.docs import paste


def test_the_page_about_agents_works_as_it_stands(tmp_path):
    said = paste(ROOT / "docs" / "doors" / "agents.md", tmp_path)
    table, driven = said[0], said[-1]
    assert re.search(r"station_0 +127\.0\.0\.1:7140 +-?[\d.]+", table), table
    assert re.search(r"16 episodes, .* 0 default answers, 0\s+reconnects", table), table
    assert re.fullmatch(r"station_0 earned -?[\d.]+\n", driven), driven
