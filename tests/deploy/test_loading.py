"""What an experiment file may say, and how a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from deploy.errors import BadExperiment
from deploy.experiment import Experiment
from deploy.loading import chosen, load

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "small.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path, *assignments):
    with pytest.raises(BadExperiment) as caught:
        load(path, assignments)
    assert caught.value.exit_code == 2
    return str(caught.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_experiments(path):
    assert load(path).name == path.stem


def test_defaults_and_what_is_written_back(written):
    experiment = load(written("seed: 5"))
    assert (experiment.name, experiment.seed, experiment.training.algorithm) == ("small", 5, "maddpg")
    assert Experiment.model_validate(yaml.safe_load(yaml.safe_dump(experiment.model_dump(mode="json")))) == experiment


def test_set_changes_and_adds(written):
    path = written("training: {num_envs: 4}")
    flags = ["training.num_envs=8", "training.epsilon=1e-4", "environment.config.theta=0.5", "name=other"]
    script = "agents.overrides.station_1={policy: 'scripted:cost_plus', parameters: {markup: 0.5}}"
    experiment = load(path, [*flags, script])
    assert experiment.training.num_envs == 8
    assert experiment.training.epsilon == 1e-4
    assert experiment.environment.config == {"theta": 0.5}
    assert experiment.name == "other"
    assert experiment.agents.of("station_1").policy == "scripted:cost_plus"
    assert experiment.agents.of("station_1").parameters == {"markup": 0.5}
    assert experiment.agents.of("station_0").policy == "onnx"
    assert load(path, ["name=other"], name="flag").name == "flag"


def test_numbers_as_people_write_them(written):
    experiment = load(written("training: {learner: {rate: 1e-3}}"))
    assert experiment.training.learner == {"rate": 0.001}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("training: {epsilon: -1}", "small.yaml: training.epsilon: expected greater than 0, got -1"),
        ("training: {num_env: 4}", "did you mean num_envs?"),
        ("training: {evaluation: {environment: {nmae: mpe}}}", "did you mean name?"),
        ("training: {goal: profit}", "training.goal: expected 'equilibrium' or 'return', got 'profit'"),
        ("sede: 4", "did you mean seed?"),
        ("seed: many", "seed: expected a valid integer"),
        ("agents: {policy: onxx}", "agents.policy: expected text of the form"),
        ("agents: {overrides: {station_0: {polcy: onnx}}}", "did you mean policy?"),
        ("name: ../outside", "name: expected text of the form"),
        ("transport: udp", "transport: expected 'tcp' or 'unix', got 'udp'"),
        ("- a list", "expected keys and values, got ['a list']"),
        ("", "expected keys and values, got None"),
        ("{", "(file): expected YAML"),
        ("seed: 1\nseed: 2", "'seed' is given twice"),
        ("seed: !!python/object/apply:os.system [true]", "(file): expected YAML"),
        ("seed: 2020-13-45", "(file): expected YAML, got month must be in 1..12"),
        ("seed: !!int x", "(file): expected YAML, got invalid literal"),
        ("environment: {config: &a {x: *a}}", "(file): expected YAML, got Circular reference"),
        ("environment: {config: {x: {2020-01-01: 3}}}", "(file): expected YAML, got keys must be"),
        (f"environment: {{config: {{x: {'[' * 400}{']' * 400}}}}}", "(file): expected YAML, got"),
        (f"seed: {'[' * 5000}", "(file): expected YAML, got more levels than can be read"),
    ],
)
def test_mistakes_name_file_field_expected_and_got(written, text, words):
    assert words in refusal(written(text))


def test_all_mistakes_at_once(written):
    text = refusal(written("seed: -1\ntraining: {epsilon: 0}"), "env_servers=0")
    assert [line.split(": ")[1] for line in text.splitlines()] == ["seed", "training.epsilon", "env_servers"]
    assert "(from --set)" in text.splitlines()[2]


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("training.epsilon", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("seed.deeper=3", "--set seed.deeper=3: seed: expected a mapping"),
        ("seed=[1", "seed: expected a YAML value"),
        ("seed=2020-13-45", "--set seed=2020-13-45: seed: expected a YAML value, got month must be in 1..12"),
        ("environment.config.x=&a [*a]", "environment.config.x: expected a YAML value, got Circular reference"),
    ],
)
def test_mistakes_in_flags(written, flag, words):
    assert words in refusal(written("seed: 1"), flag)


def test_a_file_that_is_not_there(tmp_path):
    assert "No such file" in refusal(tmp_path / "none.yaml")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    assert "expected YAML" in refusal(path)


def test_flags_and_file_say_where_a_game_comes_from(written):
    path = written("environment: {name: own, games: {own: mine:Game}, pettingzoo_modules: [sea]}")
    environment = load(path, games=["two=other.mine:Game"], modules=["lake", "sea", "lake"]).environment
    assert environment.games == {"own": "mine:Game", "two": "other.mine:Game"}
    assert environment.pettingzoo_modules == ("sea", "lake")
    flags = ["--game", "own=mine:Game", "--game", "two=other.mine:Game"]
    assert environment.imports == [*flags, "--pettingzoo-module", "sea", "--pettingzoo-module", "lake"]
    assert load(path, games=["own=mine:Game"]).environment.games == {"own": "mine:Game"}
    assert chosen("own", ["a.b=1"], ["own=mine:Game"], ["sea"]).model_dump() == {
        "name": "own", "config": {"a": {"b": 1}}, "games": {"own": "mine:Game"}, "pettingzoo_modules": ("sea",),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("games", "modules", "words"),
    [
        (["own"], [], "--game: (flag): expected NAME=MODULE:CLASS, got 'own'"),
        (["own=other:Game"], [], "--game: own: expected one class, mine:Game, got other:Game"),
        (["two=mine"], [], "environment.games.two: expected text of the form"),
        ([], ["a/b.py"], "environment.pettingzoo_modules.0: expected text of the form"),
    ],
)
def test_where_a_game_comes_from_is_checked(written, games, modules, words):
    with pytest.raises(BadExperiment) as caught:
        load(written("environment: {games: {own: mine:Game}}"), games=games, modules=modules)
    assert words in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["environment: 3", "environment: {games: 3}", "environment: {pettingzoo_modules: x}"])
def test_flags_beside_a_wrong_file(written, text):
    with pytest.raises(BadExperiment, match="environment"):
        load(written(text), games=["own=mine:Game"], modules=["sea"])
