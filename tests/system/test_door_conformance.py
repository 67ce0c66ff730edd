"""The page about the conformance suite, pasted."""

from bench.processes import ROOT
from tests.support.docs import paste


def test_the_page_about_the_contract_works_as_it_stands(tmp_path):
    first, legal, undercut, server = paste(ROOT / "docs" / "doors" / "conformance.md", tmp_path)
    assert "failed: masks.last_choice_only: Where only the last choice is legal, it is taken" in first
    assert "which the mask forbids" in first
    for said in (legal, undercut, server):
        assert " 0 failed, " in said.splitlines()[-1]
