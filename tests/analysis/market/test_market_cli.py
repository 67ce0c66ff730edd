"""``agora market``: tables and pages from the log of a run that real services played."""

import json
import math
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import sync_playwright

from analysis.market import measures
from analysis.market.earnings import earnings
from analysis.market.episodes import NoMarketError, episodes, newest
from analysis.market.measures import MEASURES
from bench.processes import ROOT
from tests.support import tools

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


def agora(*words):
    done = subprocess.run(
        [sys.executable, "-m", "deploy.cli", "market", *map(str, words)], cwd=ROOT, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


def test_episodes_are_those_that_were_played(run):
    played = list(episodes(run))
    assert [(episode.block, episode.copy) for episode in played] == [(0, 0), (0, 1)]
    for episode in played:
        assert episode.agents == ("maker_0", "trader_0") and episode.tape.mid.shape == (3000,)
        best = episode.depth.prices[:, :, 0]
        quoted = (best > 0).all(axis=1)
        assert np.array_equal(best[quoted].mean(axis=1), episode.tape.mid[quoted])
        assert np.nanmin(episode.depth.spread) >= 1.0


def test_trades_add_up_to_the_volume(run):
    for episode in episodes(run):
        lots = np.bincount(episode.trades.step, weights=episode.trades.lots, minlength=3000)
        signed = np.bincount(episode.trades.step, weights=episode.trades.lots * episode.trades.sign, minlength=3000)
        few = np.bincount(episode.trades.step, minlength=3000) < 16  # the log keeps no more of a step
        assert np.array_equal(lots[few], episode.tape.volume[few])
        assert np.array_equal(signed[few], episode.tape.flow[few])


def test_profits_are_what_the_log_says(run):
    played = list(episodes(run))
    maker = earnings(played)[0]
    profits = [episode.equity[-1, 0] - episode.equity[0, 0] for episode in played]
    assert maker.agent == "maker_0" and maker.profit == pytest.approx(np.mean(profits))
    assert maker.error == pytest.approx(abs(profits[0] - profits[1]) / 2) and maker.most > 0


def test_facts_and_quality_are_told_in_tables_and_as_json(run):
    code, words, _ = agora("facts", run)
    assert code == 0 and "clustering" in words and "2 episodes" in words
    code, words, _ = agora("facts", run, "--json")
    found = json.loads(words)
    assert code == 0 and found["episodes"] == 2 and len(found["facts"]) == 12
    code, words, _ = agora("quality", run, "--json")
    found = json.loads(words)
    assert code == 0 and list(found["quality"]) == list(MEASURES)
    assert [row["agent"] for row in found["agents"]] == ["maker_0", "trader_0"]
    measured = found["quality"]
    cost = measured["realised spread, 10 steps"] + measured["price impact, 10 steps"]
    assert measured["effective spread"] == pytest.approx(cost) and measured["quoted spread"] >= 1.0
    assert agora("quality", run)[1].count("maker_0") == 1


@pytest.mark.parametrize("out", ["/sys/page.html", "{tmp}", "{tmp}/file/page.html"])
def test_a_page_that_cannot_be_written_is_a_sentence(out, run, tmp_path):
    (tmp_path / "file").write_text("")
    path = out.format(tmp=tmp_path)
    code, _, words = agora("replay", run, "--out", path)
    assert code == 1 and path.rpartition("/")[0] in words and "Traceback" not in words


def test_a_page_replays_an_episode(run, tmp_path):
    code, words, _ = agora("replay", run, "--episode", "0", "--out", tmp_path / "page.html")
    assert code == 0 and words.strip() == str(tmp_path / "page.html")
    tools.require("Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(tools.CHROMIUM), args=FLAGS)
        page = browser.new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: request.url.startswith("file:") or problems.append(request.url))
        page.goto(f"file://{tmp_path / 'page.html'}")
        page.locator("#at").fill("1500")
        says = page.locator("#says").inner_text()
        charts = page.locator(".js-plotly-plot").count()
        browser.close()
    episode = next(iter(episodes(run)))
    assert not problems and charts == 5
    assert says.startswith("step 1500: ") and f"{int(episode.tape.volume[1500])} lots" in says


@pytest.mark.parametrize("command", ["facts", "quality", "replay"])
def test_folders_without_a_market_are_refused_in_words(command, tmp_path):
    code, _, words = agora(command, tmp_path)
    assert code == 1 and "expected a trajectory log, found none" in words


def test_an_episode_that_was_not_played_is_refused(run):
    code, _, words = agora("replay", run, "--episode", "2")
    assert code == 2 and "episode: expected -2 to 1, got 2" in words


def test_the_log_of_another_game_is_refused(tmp_path):
    play = [sys.executable, "-m", "deploy.cli", "play", "matrix", "--log", str(tmp_path)]
    subprocess.run(play, cwd=ROOT, check=True, capture_output=True)
    with pytest.raises(NoMarketError, match=r"found no info\.mid"):
        next(episodes(tmp_path))


def test_measures_without_an_answer_are_left_out(run, monkeypatch):
    answers = iter([1.0, math.nan, 3.0, math.nan, math.nan, math.nan])
    never = measures.Measure(lambda _: next(answers), "")
    monkeypatch.setattr(measures, "MEASURES", {"some": never, "none": never})
    assert measures.over_episodes([next(episodes(run))] * 3) == {"some": 2.0, "none": None}


def test_the_newest_episodes_are_the_last_blocks(run, tmp_path):
    part = pq.read_table(next((run / "trajectories").iterdir()))
    (tmp_path / "trajectories").mkdir()
    for number in range(2):  # parts with the blocks 0, 1 and 2, 3, of two copies each
        blocks = [part.set_column(1, "block", pa.array([2 * number + i] * len(part), pa.uint64())) for i in range(2)]
        pq.write_table(pa.concat_tables(blocks), tmp_path / "trajectories" / f"part-{number}.parquet")
    found = newest(tmp_path, 5)
    assert [(episode.block, episode.copy) for episode in found] == [(3, 0), (3, 1), (2, 0), (2, 1), (1, 0)]
    played = list(episodes(run))
    assert np.array_equal(found[3].equity, played[1].equity) and np.array_equal(found[4].equity, played[0].equity)
    assert len(newest(tmp_path, 100)) == 8
