"""What is kept of experiments, and the page that is written from it."""

import json
import re
from contextlib import nullcontext
from unittest.mock import Mock

import numpy as np
import pytest

from analysis.market.making import Making
from bench.processes import ROOT
from deploy.experiment import Experiment
from deploy.loading import load
from experiments import matches, running, stored, trading
from experiments.page import PAGE, page
from experiments.references import BEST_AT_LEAST, score
from trainer.algorithms import ALGORITHMS

FILES = [(group, name) for group in ("paper", "learners", "best") for name in running.names(group)]
PROVENANCE = stored.Provenance(command="x", date="2026-01-01", commit="c", machine={}, seconds=1.0)


def returns(mean):
    return {"returns": {"a": mean}, "standard_errors": {"a": 0.1}, "mean": mean, "standard_error": 0.1}


def played(mean, **fields):
    fields = {"environment": "mpe", "episodes": 5, "players": {"a": "trained"}} | fields
    return stored.Played(**(returns(mean) | fields))


def training(group, name, seed, mean, steps=1_000_000, cpu=600.0, actors=None):
    return stored.Training(
        group=group,
        name=name,
        algorithm="maddpg",
        seed=seed,
        configuration="f",
        provenance=PROVENANCE,
        environment_steps=steps,
        cpu_seconds=cpu,
        evaluations=[stored.Evaluation(environment_steps=n, seconds=1.0, **returns(mean - 1)) for n in (0, 101_000)],
        final=played(mean),
        actors=actors or {},
    )


def keep(*runs):
    for run in runs:
        stored.write(stored.place(run.group, run.name, run.seed), run)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "RESULTS", tmp_path)
    return tmp_path


def test_the_page_is_what_the_stored_results_give():
    assert PAGE.read_text() == page(), "python -m experiments results"


def test_the_page_has_the_figures_of_the_files():
    """Without the code that wrote it: mean over seeds and agents, and S between uniform actions and the expert."""
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| \*\*(\S+)\*\* \| ([^|]+) \| (\S+) \|", PAGE.read_text(), re.MULTILINE)
    files = sorted((ROOT / "experiments" / "results" / "learners").glob("*.json"))
    returns = {}
    for path in files:
        told = json.loads(path.read_text())
        returns.setdefault(told["name"], []).append(np.mean(list(told["final"]["returns"].values())))
    assert len(files) > 20 and returns.keys() == {name for name, *_ in rows}
    for name, mean, seeds, share in rows:
        assert float(mean) == pytest.approx(np.mean(returns[name]), abs=0.0051)
        shown = [float(text.split(" ± ")[0]) for text in seeds.split(", ")]
        assert shown == pytest.approx(returns[name], abs=0.0051)
        assert float(share) == pytest.approx((np.mean(returns[name]) + 25.24) / (25.24 - 5.64), abs=0.00051)


@pytest.mark.parametrize(("group", "name"), FILES)
def test_every_experiment_can_be_run(group, name):
    experiment = load(running.experiment_file(group, name))
    settings = experiment.training
    assert len(stored.fingerprint(experiment)) == 64
    game = settings.evaluation.environment
    assert game.name.startswith("pettingzoo:mpe2.simple_") and experiment.environment.name.startswith("mpe:")
    assert group != "best" or name in [kept for kept, _, _ in BEST_AT_LEAST.values()]
    assert group != "learners" or settings.algorithm == name
    discrete = experiment.environment.config.get("continuous_actions") is False
    assert f"continuous_actions={str(not discrete).lower()}" in game.name
    ALGORITHMS[settings.algorithm].Config(**settings.learner)


def test_market_makers_learn_one_game_that_the_scripted_ones_play_too():
    assert set(running.names(trading.GROUP)) == {trading.LIMIT, *trading.LEARNED}
    games = []
    for name in trading.LEARNED:
        experiment = load(running.experiment_file(trading.GROUP, name))
        settings = experiment.training
        ALGORITHMS[settings.algorithm].Config(**settings.learner)
        assert name == f"maker_{settings.algorithm}"
        config = trading.judged(experiment).config
        learned = {key: value for key, value in experiment.environment.config.items() if key != "inventory_penalty"}
        assert learned == config and config["position_limit"] == 50 and "limit=50" in trading.SCRIPT
        games.append({key: value for key, value in config.items() if key != "flat"})
    assert games == games[:1] * len(games)
    limit = load(running.experiment_file(trading.GROUP, trading.LIMIT))
    assert Making.of(limit.environment.config).limit == 10


def test_a_fingerprint_is_of_what_was_chosen_and_of_the_learner():
    def of(**training):
        return stored.fingerprint(Experiment(name="a", training={"algorithm": "maddpg", **training}))

    assert of() == of() != of(num_envs=16)  # also where a default is chosen
    assert of() != of(learner={"batch_size": 7}) and of() != of(algorithm="matd3")
    assert of() == stored.fingerprint(Experiment(name="b", training={"algorithm": "maddpg"}))


def test_policies_are_kept_once_and_only_as_long_as_they_are_used(results):
    first, second, again = (stored.keep_actor(model) for model in (b"one", b"two", b"one"))
    assert first == again != second
    keep(training("learners", "maddpg", 0, -12.0, actors={"a": second}))
    stored.forget_unused_actors()
    assert [path.name for path in (results / "actors").iterdir()] == [second]


def test_tables(results):
    keep(
        training("learners", "maddpg", 0, -15.44),
        training("learners", "maddpg", 1, -5.64, cpu=None),
        training("learners", "qmix", 0, -25.24),
        training("best", "matd3_3m", 0, -8.0, steps=3_001_600),
        training("paper", "simple_tag", 0, 3.0),
    )
    assert (score(-25.24), score(-5.64)) == (0.0, 1.0)
    text = page()
    first = "| `maddpg` | 1 M | **-10.54** | -15.44 ± 0.10, -5.64 ± 0.10 | 0.750 | 10.0 min | -12.3 |"
    assert first in text
    assert "| `maddpg` | -11.54 |\n| `qmix` | -26.24 |" in text and "| learner | 100 k |" in text
    assert "| 3 M | `matd3_3m` | 3 M | **-8.00** | -8.00 ± 0.10 | 0.880 | 10.0 min | -8.3 | -11.4 |" in text
    assert "| 10 M |" not in text and "| 1 M | `matd3_1m` |" not in text
    assert "| `simple_tag` | maddpg | 0 | 1 M | a 3.00 ± 0.10 | 2.00 → 3.00 | 10.0 min |" in text


def test_makers_are_told_by_what_they_earn_more_than_the_scripted_one(results):
    earned = [12.0, 14.0, 13.0, 15.0, 11.0]
    keep(*(training("market", "maker_ippo", seed, profit) for seed, profit in enumerate(earned)))
    policies = [(trading.SCRIPT, 3.0), (f"{trading.SCRIPT} half_spread=4", 5.0), ("scripted:random", -80.0)]
    found = [played(profit, players={"maker_0": policy}) for policy, profit in policies]
    scripted = stored.Matches(title="t", provenance=PROVENANCE, matches=found)
    stored.write(results / f"{trading.SCRIPTED}.json", scripted)
    # Student's quantile of 4 degrees of freedom is 2.776, the standard error sqrt(2.5 / 5).
    assert trading.lower_end(earned) == pytest.approx(13.0 - 2.7764 * 0.5**0.5, abs=1e-4)
    assert trading.scripted_profit(scripted) == 3.0 and trading.best_scripted_profit(scripted) == 5.0
    text = page()
    assert "11.00 ± 0.10 | **10.0 ± 2.0** | 10.0 min |" in text
    assert "| `market:maker limit=50 half_spread=4` | 5.00 ± 0.10 |" in text


@pytest.mark.parametrize("same", [True, False])
def test_scripted_makers_are_kept_while_they_are_the_same(results, monkeypatch, same):
    makers = [trading.SCRIPT, *(trading.SETTINGS if same else trading.SETTINGS[1:]), "scripted:random"]
    configuration = stored.fingerprint(running.load_experiment(trading.GROUP, trading.LEARNED[-1], 0))
    found = [played(1.0, players={"maker_0": maker}) for maker in makers]
    kept = stored.Matches(title="t", configuration=configuration, provenance=PROVENANCE, matches=found)
    stored.write(results / f"{trading.SCRIPTED}.json", kept)
    monkeypatch.setattr(trading, "Table", Mock(side_effect=RuntimeError("they play")))
    with nullcontext() if same else pytest.raises(RuntimeError, match="they play"):
        assert trading.play_scripted(again=False) == kept


def test_a_matrix_has_teams_down_and_adversaries_across(results):
    found = []
    for good, hunted in (("trained", 4.0), ("scripted:particle_split", 5.0)):
        for adversary in ("trained", "scripted:particle_follow"):
            players = {"adversary_0": adversary, "agent_0": good, "agent_1": good}
            earned = {"adversary_0": -9.0, "agent_0": hunted, "agent_1": hunted + 1}
            fields = {"players": players, "returns": earned, "standard_errors": dict.fromkeys(earned, 0.25)}
            found.append(played(0.0, **fields))
    kept = stored.Matches(title="t", provenance=PROVENANCE, matches=found)
    stored.write(results / f"{matches.CROSS_PLAY}.json", kept)
    text = page()
    assert "| good ↓ adversary → | trained | follow |" in text
    assert "| **split** | -9.00 / 5.50 | -9.00 / 5.50 |\n\nStandard errors are at most 0.25." in text
    assert stored.read_matches(matches.CROSS_PLAY) == kept
