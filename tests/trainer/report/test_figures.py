"""What is drawn is what was written."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from trainer.report import learning, summary
from trainer.report.data import load_run
from trainer.report.figures import MOST_POINTS, Figure, Json, Series, line, number, percent
from trainer.report.panels import panel_figures

if TYPE_CHECKING:
    from tests.trainer.report.conftest import SyntheticRun


def trace(figure: Figure | None, name: str) -> Json:
    assert figure is not None
    return next(item for item in figure.data if item["name"] == name)


def test_panel_bars_are_prices_beside_the_posted_ones(synthetic: SyntheticRun) -> None:
    price, flow = panel_figures(load_run(synthetic.write()))
    assert [figure.title for figure in price.outcome] == ["Site 3", "Site 4", "Site 5", "Site 6"]
    for i, figure in enumerate(price.outcome):
        np.testing.assert_allclose(figure.data[0]["y"], synthetic.prices(synthetic.rounds - 1)[i], rtol=1e-6)
        assert figure.data[0]["text"] == synthetic.labels
    assert set(price.outcome[1].data[1]["y"]) == {0.45}
    assert price.outcome[1].table.headers == ["", "Price (AUD/kWh)", "posted price"]
    assert len(price.outcome[3].data) == len(flow.outcome[0].data) == 1
    assert len({tuple(figure.layout["yaxis"]["range"]) for figure in price.outcome}) == 1


def test_course_ends_at_the_final_mean(synthetic: SyntheticRun) -> None:
    course = panel_figures(load_run(synthetic.write()))[0].course
    mean = synthetic.prices(synthetic.rounds - 1)[2].mean()
    assert trace(course, "Site 5")["y"][-1] == pytest.approx(mean, rel=1e-6)
    assert trace(course, "Site 5, posted price")["y"] == [0.25, 0.25]


def test_without_a_log_the_checks_actions_are_drawn(synthetic: SyntheticRun) -> None:
    synthetic.write_config()
    synthetic.write_metrics()
    (actions,) = panel_figures(load_run(synthetic.directory))
    assert "log was off" in actions.note
    np.testing.assert_allclose(actions.outcome[1].data[0]["y"], synthetic.prices(59)[1], rtol=1e-6)


def test_many_agents_become_a_map(synthetic: SyntheticRun) -> None:
    run = load_run(synthetic.write())
    many = [f"agent_{i}" for i in range(13)]
    panel = run.panels[0]
    values = run.log.infos["prices"]
    wide = type(values)(**{**vars(values), "middle": np.tile(values.middle, (4, 1))[:13], "means": np.ones((60, 13))})
    crowd = {
        "agents": many,
        "titles": {agent: agent for agent in many},
        "panels": [type(panel)(**{**vars(panel), "references": [None] * 13})],
        "log": type(run.log)({"prices": wide}),
    }
    (drawn,) = panel_figures(type(run)(**{**vars(run), **crowd}))
    assert np.shape(drawn.outcome[0].data[0]["z"]) == (13, 8)


def test_payoffs_at_checks_and_as_collected(synthetic: SyntheticRun) -> None:
    figure = learning.payoff_figure(load_run(synthetic.write()))
    checked, collected = trace(figure, "Site 4"), trace(figure, "Site 4, collected")
    assert checked["y"] == pytest.approx([synthetic.profit(1, n) for n in range(9, 60, 10)], rel=1e-6)
    assert collected["y"] == pytest.approx([0.97 * synthetic.profit(1, n) for n in range(60)], rel=1e-6)
    assert collected["x"] == [synthetic.steps(n) for n in range(60)]


def test_nash_conv_on_a_log_axis_with_its_limit(synthetic: SyntheticRun) -> None:
    nash, ratio, ani = learning.equilibrium_figures(load_run(synthetic.write()))
    shares = [100 * synthetic.check(n)["relative"] for n in range(9, 60, 10)]
    assert trace(nash, "verified by the true payoff")["y"] == pytest.approx(shares, rel=1e-6)
    assert nash.layout["yaxis"]["type"] == "log"
    limit = [shape for shape in nash.layout["shapes"] if shape.get("y0") == pytest.approx(0.1)]
    assert len(limit) == 1
    expected = [1 / (0.9 + 0.2 * math.cos(n)) for n in range(9, 60, 10)]
    assert ratio.data[0]["y"] == pytest.approx(expected, rel=1e-6)
    assert ani.data[0]["y"][-1] == pytest.approx(synthetic.check(59)["ani"], rel=1e-6)


def test_nash_conv_of_zero_stays_visible(synthetic: SyntheticRun) -> None:
    synthetic.rounds = 30
    exact = synthetic.check
    synthetic.check = lambda n: exact(n) | ({"relative": 0.0} if n == 29 else {})  # type: ignore[method-assign]
    nash = learning.equilibrium_figures(load_run(synthetic.write()))[0]
    verified = trace(nash, "verified by the true payoff")
    assert verified["y"][-1] == min(verified["y"])
    assert verified["customdata"][-1] == 0.0
    assert verified["marker"]["symbol"][-1] == "triangle-down-open"


def test_versions_noise_speed_and_losses(synthetic: SyntheticRun) -> None:
    run = load_run(synthetic.write())
    versions, noise, speed = learning.training_figures(run)
    assert trace(versions, "Site 3")["y"] == [float(n) for n in range(60)]
    assert trace(versions, "Site 6")["text"][-1] == "epoch 2, step 58"
    assert noise.data[0]["y"][3] == pytest.approx(0.2 * 0.95**3, rel=1e-6)
    assert len(speed.data[0]["y"]) == 60
    assert {shape["x0"] for shape in noise.layout["shapes"]} == {synthetic.steps(24)}
    assert [figure.title for figure in learning.loss_figures(run)] == ["critic", "actor"]


def test_headline_and_tiles(synthetic: SyntheticRun) -> None:
    run = load_run(synthetic.write())
    said = summary.headline(run)
    assert (said.tone, said.status) == ("good", "Converged")
    tiles = {tile.label: tile for tile in summary.tiles(run)}
    assert tiles["NashConv, verified"].value == percent(synthetic.check(59)["relative"])
    assert tiles["Joint actions"].value == "1,920"
    assert tiles["Wall time"].value == "1 min 31 s"
    assert tiles["Restarts"].note == "resumed at 800 joint actions"
    assert (tiles["Version served"].value, tiles["Version served"].note) == ("2.59", "oldest: 2.58")


def test_agent_table_sets_outcome_beside_reference(synthetic: SyntheticRun) -> None:
    table = summary.agent_table(load_run(synthetic.write()))
    row = dict(zip(table.headers, table.rows[1], strict=True))
    assert (row["Agent"], len(table.rows)) == ("Site 4", len(synthetic.agents))
    assert row["Posted price"] == "0.4500"
    assert float(row["Mean price, AUD/kWh"]) == pytest.approx(synthetic.prices(59)[1].mean(), abs=1e-4)
    assert float(row["Profit per step, AUD"]) == pytest.approx(synthetic.profit(1, 59), abs=1e-2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1234.5678, "1,235"),
        (0.30004, "0.3"),
        (0.34567, "0.3457"),
        (-2.5, "-2.5"),
        (3.2e-9, "3.200e-09"),
        (9.99999, "10"),
        (math.nan, "–"),
    ],
)
def test_numbers_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_long_series_are_thinned_with_both_ends_and_what_goes_with_them() -> None:
    count = 5000
    style: Json = {"text": [str(i) for i in range(count)]}
    drawn = line(Series("a", list(range(count)), [2.0 * i for i in range(count)], "--accent", style))
    assert len(drawn["x"]) == len(drawn["text"]) == MOST_POINTS
    assert (drawn["x"][0], drawn["x"][-1]) == (0, count - 1)
    assert [float(text) for text in drawn["text"]] == drawn["x"]
