"""What evaluations come to, on returns whose means are known."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from agora.errors import Refused
from trainer.evaluation import check_same_spaces, standard_error, summarised, write_returns
from trainer.segments import episode_returns


def test_an_episode_return_is_summed_over_the_parts_of_its_block(block):
    whole = block(seed=3)
    parts = [replace(whole, block=number // 2, agents=block(seed=number).agents) for number in range(4)]
    found = episode_returns(parts)
    assert found.shape == (12, 3)
    expected = sum(parts[n].agents[2].reward.sum(axis=0) for n in (0, 1))
    np.testing.assert_allclose(found[:6, 2], expected)


def test_means_and_standard_errors():
    # Means 2 and 6; deviations of (1, 3) and (5, 7) from them are ±1, so that s = sqrt(2) and s / sqrt(2) = 1.
    row = summarised(("a", "b"), np.array([[1.0, 5.0], [3.0, 7.0]]))
    assert row["returns"] == {"a": 2.0, "b": 6.0}
    assert row["standard_errors"] == pytest.approx({"a": 1.0, "b": 1.0})
    assert (row["mean"], row["standard_error"], row["episodes"]) == (4.0, pytest.approx(1.0), 2)
    # Both agents' deviations cancel: the mean over agents is the same in every episode.
    assert summarised(("a", "b"), np.array([[1.0, 7.0], [3.0, 5.0]]))["standard_error"] == 0.0
    assert standard_error(np.ones((1, 3))).tolist() == [0.0, 0.0, 0.0]


def test_the_csv_has_a_row_per_evaluation(tmp_path):
    row = {**summarised(("a", "b"), np.array([[1.0, 5.0], [3.0, 7.0]])), "seconds": 2.0, "learner_cpu_seconds": 1.5}
    write_returns(tmp_path / "returns.csv", ("a", "b"), [row | {"environment_steps": n} for n in (100, 200)])
    rows = list(csv.DictReader((tmp_path / "returns.csv").read_text().splitlines()))
    assert [row["environment_steps"] for row in rows] == ["100", "200"]
    assert float(rows[0]["b"]) == 6.0 and float(rows[0]["mean"]) == 4.0 and rows[1]["learner_cpu_seconds"] == "1.5"
    assert list(tmp_path.iterdir()) == [tmp_path / "returns.csv"]


def test_another_game_must_have_the_same_agents_and_spaces(spec):
    check_same_spaces(spec, replace(spec, name="twin", state_space=spaces.Discrete(2)))
    fewer = {"agents": spec.agents[:2]}
    with pytest.raises(Refused, match="the agents of test: station_0, station_1, station_2, got station_0, station_1"):
        check_same_spaces(spec, replace(spec, **fewer))
    other = (*spec.action_spaces[:2], spaces.Discrete(5))
    with pytest.raises(Refused, match=r"evaluation\.environment: expected the action space of station_2 .* Discrete"):
        check_same_spaces(spec, replace(spec, action_spaces=other))
