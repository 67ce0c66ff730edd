"""A market's section of the report, against episodes whose every number is known."""

import json

import numpy as np
import pytest

from analysis.market.episodes import Episode, episodes
from analysis.market.facts import SHORTEST, Tape
from analysis.market.quality import Depth, Trades
from analysis.market.report.__main__ import main
from analysis.market.report.episode import MOST_LINES, inventories, prices, profits
from analysis.market.report.returns import distribution, memory
from analysis.market.report.section import section

pytestmark = pytest.mark.timeout(300)  # whoever is first compiles the market


def episode(mid, volume=None, inventory=None, equity=None, agents=("maker_0",)):
    """An episode without a book; what is not given is 0."""
    steps, mid = len(mid), np.asarray(mid, float)
    volume = np.zeros(steps) if volume is None else np.asarray(volume, float)
    inventory = np.zeros((steps, len(agents)), int) if inventory is None else np.asarray(inventory)
    equity = np.zeros((steps, len(agents))) if equity is None else np.asarray(equity, float)
    nothing = np.zeros((steps, 2, 10), np.int64)
    trades = Trades(np.zeros(0, int), *(np.zeros(0) for _ in range(3)))
    tape = Tape(mid, volume, np.zeros(steps))
    return Episode(3, 1, tuple(agents), tape, mid + 1.0, inventory, equity, Depth(nothing, nothing), trades)


def test_each_step_of_a_short_episode_is_drawn():
    figure = prices(episode([100, 101.5, 99], volume=[4, 0, 7]))
    worth, middle, lots = figure["data"]
    assert (middle["x"], middle["y"], worth["y"]) == ([0, 1, 2], [100, 101.5, 99], [101, 102.5, 100])
    assert (lots["type"], lots["y"], lots["name"]) == ("bar", [4, 0, 7], "lots per step")
    assert figure["table"]["rows"][0] == ["middle, ticks", 100, 99, 101.5, 99]
    assert figure["caption"].startswith("Block 3, copy 1")


def test_long_episodes_are_drawn_in_windows_that_lose_no_lot():
    steps = 1201  # three steps in each window, one in the first
    figure = prices(episode(1000 + np.arange(steps), volume=np.arange(steps)))
    _, middle, lots = figure["data"]
    assert middle["x"][:3] == [0, 3, 6] and middle["x"][-1] == 1200 and middle["y"][:3] == [1000, 1003, 1006]
    assert lots["y"][:3] == [0, 1 + 2 + 3, 4 + 5 + 6] and sum(lots["y"]) == 1200 * 1201 / 2
    assert lots["name"] == "lots per 3 steps"


def test_profits_begin_at_nothing_and_inventories_where_they_are():
    both = {"inventory": [[2, 0], [-1, 5]], "equity": [[50, 7], [53.5, 6]], "agents": ("maker_0", "trader_0")}
    earned, held = profits(episode([10, 10], **both)), inventories(episode([10, 10], **both))
    assert [(trace["name"], trace["y"]) for trace in earned["data"]] == [("maker_0", [0, 3.5]), ("trader_0", [0, -1])]
    assert [trace["y"] for trace in held["data"]] == [[2, -1], [0, 5]]
    assert earned["table"]["rows"] == [["maker_0", 0, 0, 3.5, 3.5], ["trader_0", 0, -1, 0, -1]]


def test_of_many_agents_the_first_are_drawn_and_all_are_told():
    figure = profits(episode([10, 10], agents=[f"trader_{i}" for i in range(20)]))
    assert len(figure["data"]) == MOST_LINES == 16 and len(figure["table"]["rows"]) == 20
    assert "4 agents are left out" in figure["caption"]


def test_memory_of_prices_that_go_to_and_fro():
    figure = memory([episode([100, 101] * 50 + [100])] * 2)  # 100 returns, r and -r in turn
    returns, sizes = figure["data"]
    assert returns["x"] == list(range(1, 26))
    assert returns["y"] == pytest.approx([(-1) ** lag * (100 - lag) / 100 for lag in range(1, 26)])
    assert sizes["y"] == pytest.approx([0.0] * 25)
    assert figure["table"]["rows"][1] == ["2", pytest.approx(0.98), 0.0]
    assert {(shape["y0"], shape["y1"]) for shape in figure["layout"]["shapes"]} == {(-0.05, 0.05)}


def test_density_of_returns_is_told_in_standard_deviations():
    figure = distribution([episode([1000, 1000.5] * 50 + [1000])])
    assert [trace["name"] for trace in figure["data"]] == ["1 step", "normal"]  # 10 returns over 10 steps are too few
    single, normal = figure["data"]
    assert single["x"] == pytest.approx([-1, 1], abs=2e-3)  # a bin is one move wide, and a move one deviation
    assert single["y"] == pytest.approx([0.5, 0.5], rel=2e-3)
    assert normal["y"][normal["x"].index(0.0)] == pytest.approx(0.3989423)
    assert figure["layout"]["yaxis"]["type"] == "log"
    name, count, deviation, kurtosis, beyond, largest = figure["table"]["rows"][0]
    assert (name, count, beyond) == ("1 step", 100, "0.00%")
    assert (deviation, kurtosis, largest) == pytest.approx((np.log(1000.5 / 1000), -2.0, 1.0))


def test_density_of_normal_returns_is_the_normal_one():
    mids = np.round(2 * 10_000 * np.exp(np.cumsum(1e-3 * np.random.default_rng(5).standard_normal(40_000)))) / 2
    figure = distribution([episode(mids)])
    single, *_ = figure["data"]
    x, y = np.array(single["x"]), np.array(single["y"])
    middle = np.abs(x) < 2.0
    assert middle.sum() == pytest.approx(16, abs=1)  # bins of a quarter of a deviation
    assert y[middle] == pytest.approx(np.exp(-0.5 * x[middle] ** 2) / np.sqrt(2 * np.pi), rel=0.1)
    assert figure["table"]["rows"][0][4] == "0.27%"


def test_prices_that_never_move_have_no_distribution():
    assert distribution([episode([100.0] * 200)]) is None
    assert memory([episode([100.0, 101.0])]) is None


def test_short_episodes_have_no_table_of_facts_but_say_so(run):
    whole = section(list(episodes(run)))
    assert [listing["title"] for listing in whole["tables"]][-1] == "Stylised facts"
    assert len(whole["tables"][-1]["table"]["rows"]) == 12 and len(whole["figures"]) == 5
    short = [shortened(one) for one in episodes(run)]
    found = section(short)
    assert [listing["title"] for listing in found["tables"]] == ["What agents earned", "Market quality"]
    assert found["note"].endswith(f"The stylised facts need episodes of {SHORTEST:,} steps; these have 200.")


def shortened(whole):
    steps = 200
    tape = Tape(*(series[:steps] for series in (whole.tape.mid, whole.tape.volume, whole.tape.flow)))
    depth = Depth(whole.depth.prices[:steps], whole.depth.lots[:steps])
    there = whole.trades.step < steps
    trades = Trades(
        *(series[there] for series in (whole.trades.step, whole.trades.price, whole.trades.lots, whole.trades.sign))
    )
    own = whole.worth[:steps], whole.inventory[:steps], whole.equity[:steps]
    return Episode(whole.block, whole.copy, whole.agents, tape, *own, depth, trades)


def test_the_section_is_written_into_the_run_and_says_what_the_log_says(run):
    assert main([str(run)]) == 0
    written = json.loads((run / "sections" / "market.json").read_text())
    played = list(episodes(run))
    profit = next(figure for figure in written["figures"] if figure["title"] == "Profit of each agent")
    at = profit["data"][1]["x"]
    assert len(at) == 600 and at[-1] == 2999
    assert profit["data"][1]["y"] == (played[0].equity[at, 1] - played[0].equity[0, 1]).tolist()
    earned = written["tables"][0]["table"]["rows"]
    mean = np.mean([one.equity[-1, 0] - one.equity[0, 0] for one in played])
    assert [row[0] for row in earned] == ["maker_0", "trader_0"] and earned[0][1] == pytest.approx(mean)


def test_a_folder_without_a_log_is_refused_in_words(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "expected a trajectory log, found none" in capsys.readouterr().err
    assert not (tmp_path / "sections").exists()
