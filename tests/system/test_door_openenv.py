"""The page about OpenEnv, pasted."""

from bench.processes import ROOT
from tests.support.docs import blocks, paste
from tests.support.tools import OPENENV, needs

PAGE = ROOT / "docs" / "doors" / "openenv.md"


def test_the_page_about_openenv_works_as_it_stands(tmp_path):
    told, episode = paste(PAGE, tmp_path)
    assert "You are station_0 in the game 'charging'" in told
    assert "it sees: ['last_round_all_prices', 'own_charging_flow']" in told
    assert "in 5 rounds\nFalse OUT_OF_BOUNDS: action: expected [0.0, 1.0], got 2.0" in episode


@needs("OpenEnv")
def test_what_the_page_shows_of_others_software_works_too(tmp_path):
    page = tmp_path / "page.md"
    (serving,) = [text for info, text in blocks(PAGE) if info == "sh background"]
    theirs = [text for info, text in blocks(PAGE) if info == "py"]
    for n, text in enumerate(theirs):
        (tmp_path / f"{n}.py").write_text(text)
    run = "".join(f"{OPENENV / 'python'} {n}.py\n" for n in range(len(theirs)))
    page.write_text(f"```sh background\n{serving}```\n```sh\n{run}```\n")
    client, tools = paste(page, tmp_path)
    assert "in 5 rounds" in client
    assert "['new_episode', 'act']\nreward " in tools
