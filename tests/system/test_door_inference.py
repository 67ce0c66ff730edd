"""The page about inference servers, pasted."""

import os

from bench.processes import ROOT
from tests.support.docs import paste
from tests.support.model_servers import needs_mlserver
from tests.support.tools import MLSERVER

needs_mlserver()


def test_the_page_about_inference_servers_works_as_it_stands(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{MLSERVER.parent}")
    said = paste(ROOT / "docs" / "doors" / "inference.md", tmp_path)
    table = said[-1]
    assert all(f"station_{i}" in table for i in range(4)), table
