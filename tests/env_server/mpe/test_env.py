"""The particle environments as environments: spaces, seeds, copies and refusals."""

import json

import numpy as np
import pytest

from agora.errors import Refused
from agora.v1 import environment_pb2 as pb
from bench.mpe_parity import TASKS, VERSIONS, random_actions
from env_server.environments import make
from env_server.environments.mpe import Mpe, MpeConfig
from env_server.environments.pettingzoo.blueprint import inspect, space_of
from env_server.environments.pettingzoo.source import ALLOWED, Source


def numbers(*copies):
    return np.array(copies, np.uint32)


def everything(step):
    parts = [leaf for values in (*step.observations, step.state, step.info) for leaf in values.values()]
    return [*parts, step.rewards, step.terminated, step.truncated, step.awaited]


def assert_same(step, other, rows=slice(None)):
    for one, two in zip(everything(step), everything(other), strict=True):
        np.testing.assert_array_equal(one[rows], two)


def hosted_name(task, continuous):
    return f"mpe2.{task}_{VERSIONS.get(task, 'v3')}?continuous_actions={str(continuous).lower()}"


@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize("task", TASKS)
def test_agents_and_spaces_are_those_of_mpe2_behind_the_pettingzoo_door(task, continuous):
    game = Mpe(MpeConfig(source=task, continuous_actions=continuous), 1)
    hosted = inspect(Source.parse(hosted_name(task, continuous), ALLOWED).build(ALLOWED))
    assert game.agents == hosted.agents
    assert [*game.observation_spaces.values()] == [space_of(s) for s in hosted.observation_spaces]
    assert [*game.action_spaces.values()] == [space_of(s) for s in hosted.action_spaces]
    assert game.state_space == space_of(hosted.state_space)


def test_the_hosted_environment_takes_the_place_of_ours():
    ours = make(pb.EnvironmentSpec(name="mpe:simple_adversary", num_envs=2))
    theirs = make(pb.EnvironmentSpec(name=f"pettingzoo:{hosted_name('simple_adversary', True)}&N=2", num_envs=2))
    try:
        for field in ("agents", "observation_spaces", "action_spaces", "state_space"):
            assert getattr(ours, field) == getattr(theirs, field)
        shapes = []
        for game in (ours, theirs):
            game.reset(3, numbers(0, 1))
            step = game.step(random_actions(ours, np.random.default_rng(0)))
            leaves = [*(values[""] for values in step.observations), step.state[""], step.rewards]
            shapes.append([(leaf.shape, leaf.dtype) for leaf in leaves])
        assert shapes[0] == shapes[1]
    finally:
        theirs.close()


@pytest.mark.parametrize("task", TASKS)
def test_an_episode(task):
    game, rng = Mpe(MpeConfig(source=task, max_cycles=3), 4), np.random.default_rng(0)
    with pytest.raises(RuntimeError, match="expected a reset"):
        game.step(random_actions(game, rng))
    steps = [game.reset(1, numbers(0, 1, 2, 3))]
    kept = [array.copy() for array in everything(steps[0])]
    steps += [game.step(random_actions(game, rng)) for _ in range(3)]
    assert not steps[0].rewards.any()
    assert [step.truncated.all() for step in steps] == [False, False, False, True]
    assert [step.awaited.all() for step in steps] == [True, True, True, False]
    assert not any(step.terminated.any() for step in steps)
    for step in steps:
        for values, space in zip(step.observations, game.observation_spaces.values(), strict=True):
            assert values[""].flags.c_contiguous and all(space.contains(row) for row in values[""])
        np.testing.assert_array_equal(np.hstack([values[""] for values in step.observations]), step.state[""])
    for array, copy in zip(everything(steps[0]), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("task", TASKS)
def test_copies_do_not_depend_on_one_another(task):
    whole, part = (Mpe(MpeConfig(source=task), size) for size in (5, 2))
    rows, rng = [3, 1], np.random.default_rng(0)
    assert_same(whole.reset(11, numbers(0, 1, 2, 3, 4)), part.reset(11, numbers(3, 1)), rows)
    for _ in range(25):
        actions = random_actions(whole, rng)
        chosen = [{"": leaves[""][rows]} for leaves in actions]
        assert_same(whole.step(actions), part.step(chosen), rows)


def test_a_seed_gives_the_same_start_and_another_seed_another():
    game = Mpe(MpeConfig(source="simple_adversary"), 3)
    first, again, other = (game.reset(seed, numbers(0, 1, 2)) for seed in (5, 5, 6))
    assert_same(first, again)
    assert not (first.info["positions"] == other.info["positions"]).any()


def test_starts_are_uniform_as_in_mpe2():
    tag, adversary = (Mpe(MpeConfig(source=task), 4096) for task in ("simple_tag", "simple_adversary"))
    copies = np.arange(4096, dtype=np.uint32)
    places = tag.reset(0, copies).info["positions"]
    agents, landmarks = places[:, :4], places[:, 4:]
    for drawn, half in ((agents, 1.0), (landmarks, 0.9)):
        assert half - 1e-3 < np.abs(drawn).max() <= half
        # a uniform variable's standard deviation; five standard errors
        np.testing.assert_allclose(drawn.std(axis=0), half / np.sqrt(3), atol=5 * half * np.sqrt(1 / 45 / 4096))
        np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=5 * half / np.sqrt(3 * 4096))
    goals = adversary.reset(0, copies).info["goal"]
    assert set(goals.tolist()) == {3, 4} and abs((goals == 3).mean() - 0.5) < 5 * 0.5 / 64


def broken(game, agent, value):
    actions = random_actions(game, np.random.default_rng(0))
    actions[agent] = {"": value}
    return actions


def numbered(value):
    rows = np.zeros((2, 5), np.float32)
    rows[1, 3] = value
    return rows


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (numbered(np.nan), r"agent_0: action\[3\] of copy 1: expected 0 to 1, got nan"),
        (numbered(-0.5), r"agent_0: action\[3\] of copy 1: expected 0 to 1, got -0.5"),
        (numbered(np.inf), r"agent_0: action\[3\] of copy 1: expected 0 to 1, got inf"),
        (np.zeros((2, 5)), r"agent_0: action: expected float32 \(2, 5\), got float64"),
        (np.zeros((2, 4), np.float32), r"agent_0: action: expected float32 \(2, 5\), got float32 \(2, 4\)"),
    ],
)
def test_bad_continuous_actions_are_refused_and_nothing_moves(value, words):
    game, twin = (Mpe(MpeConfig(source="simple_adversary"), 2) for _ in range(2))
    for each in (game, twin):
        each.reset(0, numbers(0, 1))
    with pytest.raises(ValueError, match=words):
        game.step(broken(game, 1, value))
    actions = random_actions(game, np.random.default_rng(1))
    assert_same(game.step(actions), twin.step(actions))


@pytest.mark.parametrize(("agent", "choice"), [(0, 3), (1, 5), (1, -1)])
def test_bad_choices_are_refused(agent, choice):
    game = Mpe(MpeConfig(source="simple_speaker_listener", continuous_actions=False), 2)
    game.reset(0, numbers(0, 1))
    words = f"{game.agents[agent]}: action of copy 1: expected 0 to {(2, 4)[agent]}, got {choice}"
    with pytest.raises(ValueError, match=words):
        game.step(broken(game, agent, np.array([0, choice])))
    with pytest.raises(ValueError, match=f"{game.agents[agent]}: action: expected int64"):
        game.step(broken(game, agent, np.zeros(2, np.int32)))


def test_actions_must_be_there():
    game = Mpe(MpeConfig(), 1)
    game.reset(0, numbers(0))
    actions = random_actions(game, np.random.default_rng(0))
    with pytest.raises(ValueError, match="expected one for each of 3 agents, got 2"):
        game.step(actions[:2])
    with pytest.raises(ValueError, match="agent_2: action: expected the one leaf ''"):
        game.step([*actions[:2], {"move": actions[2][""]}])


@pytest.mark.parametrize(
    ("name", "settings", "field", "words"),
    [
        ("mpe", {"num_good": 2}, "num_good", "expected only with simple_tag, got simple_spread"),
        ("mpe:simple_tag", {"num_agents": 2}, "num_agents", "only with simple_spread, simple_adversary"),
        ("mpe:simple_adversary", {"local_ratio": 0.5}, "local_ratio", "only with simple_spread"),
        ("mpe", {"local_ratio": 1.5}, "local_ratio", "less than or equal to 1"),
        ("mpe", {"max_cycles": 0}, "max_cycles", "greater than or equal to 1"),
        ("mpe", {"num_agents": 0}, "num_agents", "greater than or equal to 1"),
        ("mpe", {"speed": 1}, "speed", "Extra inputs are not permitted"),
        ("mpe:simple_push", {}, "source", "'simple_spread', 'simple_adversary'"),
    ],
)
def test_configurations_that_do_not_fit_are_refused_by_name(name, settings, field, words):
    with pytest.raises(Refused) as caught:
        make(pb.EnvironmentSpec(name=name, config_json=json.dumps(settings), num_envs=1))
    assert caught.value.field == f"environment.config.{field}" and words in str(caught.value)


def test_a_configuration_states_what_holds_and_can_be_read_back():
    config = make(pb.EnvironmentSpec(name="mpe", num_envs=1)).config
    assert (config.source, config.num_agents, config.local_ratio, config.num_good) == ("simple_spread", 3, 0.5, None)
    tag = MpeConfig(source="simple_tag", num_good=2)
    assert (tag.num_good, tag.num_adversaries, tag.num_obstacles, tag.num_agents) == (2, 3, 2, None)
    for each in (config, tag):
        assert MpeConfig.model_validate_json(each.model_dump_json()) == each


def test_places_that_do_not_fit_are_refused():
    spread, adversary = Mpe(MpeConfig(), 1), Mpe(MpeConfig(source="simple_adversary"), 1)
    places = {"spread": np.zeros((1, 6, 2)), "adversary": np.zeros((1, 5, 2))}
    for words, call in [
        (r"positions: expected \(1, 6, 2\)", lambda: spread.place(places["adversary"])),
        (r"velocities: expected \(1, 3, 2\)", lambda: spread.place(places["spread"], np.zeros((1, 6, 2)))),
        ("words: expected", lambda: spread.place(places["spread"], words=np.zeros((1, 3)))),
        ("goals: expected none in simple_spread", lambda: spread.place(places["spread"], goals=np.zeros(1, np.int64))),
        ("goals: expected some in simple_adversary", lambda: adversary.place(places["adversary"])),
        ("goals: expected .* below 2", lambda: adversary.place(places["adversary"], goals=np.array([2]))),
    ]:
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize("task", TASKS)
def test_facts_say_how_to_draw_an_episode(task):
    game = Mpe(MpeConfig(source=task), 2)
    arena = json.loads(json.dumps(game.facts))["arena"]
    info = game.reset(0, numbers(0, 1)).info
    assert info[arena["positions"]].shape == (2, len(arena["entities"]), 2)
    assert tuple(entity["name"] for entity in arena["entities"])[: len(game.agents)] == game.agents
    assert {entity["role"] for entity in arena["entities"]} <= {"agent", "adversary", "landmark"}
    assert (arena["goal"] in info) == (task in ("simple_adversary", "simple_speaker_listener"))
