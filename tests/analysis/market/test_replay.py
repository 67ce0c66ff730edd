"""The page that replays an episode: its map of the book follows the price, and every step has its book."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from playwright.sync_api import sync_playwright

from analysis.market.__main__ import Facts, Quality, Replay
from analysis.market.episodes import Episode, NoMarketError
from analysis.market.facts import Tape
from analysis.market.quality import Depth, Trades
from analysis.market.replay import COLUMNS, REACH, replay_data, write_replay
from tests.analysis.market.test_market_cli import CHROMIUM, FLAGS


def episode(mid: Any, bids: Any, asks: Any, agent: str = "maker_0") -> Episode:
    """An episode without trades; ``bids`` and ``asks`` (T, levels, 2) are prices and lots."""
    steps = len(mid)
    book, none = np.stack([np.array(bids), np.array(asks)], axis=1).astype(np.int64), np.zeros(0)
    return Episode(
        block=0,
        copy=0,
        agents=(agent,),
        tape=Tape(np.array(mid, float), np.zeros(steps), np.zeros(steps)),
        worth=np.array(mid, float),
        inventory=np.zeros((steps, 1), np.int64),
        equity=np.zeros((steps, 1)),
        depth=Depth(book[..., 0], book[..., 1]),
        trades=Trades(none.astype(np.int64), none, none, none),
    )


def climbing(steps: int) -> Episode:
    """A price that rises by a tick a step, with three lots bid and four asked a tick from it."""
    mid = 10_000 + np.arange(steps)
    return episode(mid, [[[at - 1, 3]] for at in mid], [[[at + 1, 4]] for at in mid])


@pytest.mark.parametrize("steps", [1, 2, 400, 2_000, 9_000])
def test_every_step_has_its_book_however_far_the_price_goes(steps: int) -> None:
    heat = replay_data(climbing(steps))["heat"]
    cells = np.array(heat["lots"])
    columns = min(steps, COLUMNS)
    assert heat["ticks"] == list(range(-REACH, REACH + 1))
    assert len(heat["steps"]) == columns and heat["steps"][0] == 0 and heat["steps"][-1] == steps - 1
    assert cells.shape == (2 * REACH + 1, columns)
    assert (cells[REACH - 1] == -3).all() and (cells[REACH + 1] == 4).all() and (np.count_nonzero(cells, 0) == 2).all()


def test_a_map_counts_from_the_middle_and_keeps_what_is_far() -> None:
    bids = [[[99, 1], [97, 2]], [[100 - REACH, 5], [10, 6]]]
    asks = [[[102, 3], [0, 0]], [[101, 7], [900, 8]]]
    heat = replay_data(episode([100.5, 100.0], bids, asks))["heat"]
    found = {
        (tick, at): lots for tick, row in zip(heat["ticks"], heat["lots"], strict=True) for at, lots in enumerate(row)
    }
    # 100.5 lies between 100 and 101: from there to 99 and to 102 are two and one ticks beyond the nearest price.
    assert {key: lots for key, lots in found.items() if lots} == {
        (-2, 0): -1,
        (-4, 0): -2,
        (2, 0): 3,
        (-REACH, 1): -11,
        (1, 1): 7,
        (REACH, 1): 8,
    }


def test_colours_end_where_lots_are_usual_and_an_empty_book_has_some_too() -> None:
    usual = [[[99, 2]]] * 199 + [[[99, 5_000]]]
    assert replay_data(episode([100] * 200, usual, [[[0, 0]]] * 200))["heat"]["most"] == 2.0
    nothing = replay_data(episode([100], [[[0, 0]]], [[[0, 0]]]))["heat"]
    assert nothing["most"] == 1.0 and not np.array(nothing["lots"]).any()


@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: apt-get install chromium")
def test_a_browser_draws_long_short_and_empty_episodes(tmp_path: Path) -> None:
    nothing = episode([100], [[[0, 0]]], [[[0, 0]]], agent="</script><b>maker")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS) as browser:
        for number, (shown, last) in enumerate([(climbing(3_000), 2_999), (climbing(1), 0), (nothing, 0)]):
            write_replay(tmp_path / f"{number}.html", shown)
            page, problems = browser.new_page(), list[str]()
            page.on("pageerror", lambda error, to=problems: to.append(str(error)))
            page.goto((tmp_path / f"{number}.html").as_uri())
            page.locator("#at").fill(str(last))
            assert page.locator("#says").inner_text().startswith(f"step {last}: ") and not problems
            assert page.locator(".js-plotly-plot").count() == 5
            assert shown.agents[0] in page.locator("#who").inner_text()
            title = page.evaluate("document.getElementById('book').layout.title.text")
            assert title == ("The book now: empty" if shown is nothing else "The book now")
            # The middle is on the axis that lies above that of the trades, and drawn last.
            price = page.evaluate("document.getElementById('price').data.map((drawn) => [drawn.name, drawn.yaxis])")
            assert price[-1] == ["middle", "y2"]
            assert page.evaluate("document.getElementById('price').layout.yaxis2.overlaying") == "y"


@pytest.mark.parametrize("command", [Facts, Quality, Replay])
def test_a_log_without_episodes_is_refused_in_words(command: Any, tmp_path: Path) -> None:
    names = ["mid", "worth", "volume", "flow", "inventory", "equity", "depth", "trades"]
    columns = {f"info.{name}": pa.array([], pa.float64()) for name in names}
    numbers = {name: pa.array([], pa.int64()) for name in ("block", "copy", "step")}
    (tmp_path / "trajectories").mkdir()
    pq.write_table(pa.table({**numbers, **columns}), tmp_path / "trajectories" / "part-0.parquet")
    with pytest.raises(NoMarketError, match="expected an episode, the log has none yet"):
        command(tmp_path)()
