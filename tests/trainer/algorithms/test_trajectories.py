"""Segments become arrays of all agents: leaves side by side, padding, one-hot choices, masks, versions."""

import re
from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from trainer.algorithms.game import Game
from trainer.algorithms.trajectories import Trajectories
from trainer.segments import AgentSegment, Segment
from trainer.spec import GameSpec

STEPS, COPIES = 2, 3
SEEN = spaces.Dict({"far": spaces.Box(-9, 9, (2, 2), np.float32), "kind": spaces.Discrete(4)})
NEAR = spaces.Box(-9, 9, (3,), np.float32)


def game_spec(*actions):
    state = spaces.Box(-9, 9, (2,), np.float32)
    return GameSpec("game", "", ("wide", "narrow"), (SEEN, NEAR), actions, state, False, {})


def part(observation, action, action_mask=None, version=(0, 0), **more):
    shape = (STEPS, COPIES)
    fields = {
        "log_prob": np.full(shape, -0.5, np.float32),
        "reward": np.arange(6.0).reshape(shape),
        "terminated": np.zeros(shape, bool),
        "truncated": np.zeros(shape, bool),
        "acted": np.array([[1, 1, 2], [1, 0, 1]], np.uint8),
        "policy_id": "",
        "version": np.tile(np.array(version, np.uint64), (*shape, 1)),
    }
    return AgentSegment(observation=observation, action={"": action}, action_mask=action_mask or {}, **fields | more)


def observed(draws):
    shape = (STEPS + 1, COPIES)
    far, kind = draws.normal(size=(*shape, 2, 2)).astype(np.float32), draws.integers(0, 4, shape)
    return {"far": far, "kind": kind}, {"": draws.normal(size=(*shape, 3)).astype(np.float32)}


def segment(*parts):
    return Segment(0, 0, True, {"": np.ones((STEPS + 1, COPIES, 2), np.float32)}, parts)


def test_boxes_are_laid_side_by_side_and_padded():
    spec = game_spec(spaces.Box(-1, 1, (2, 2), np.float32), spaces.Box(0, 5, (1,), np.float32))
    draws, game = np.random.default_rng(0), Game.of(spec)
    wide, narrow = observed(draws)
    moved = draws.uniform(-1, 1, (STEPS, COPIES, 2, 2)).astype(np.float32)
    turned = draws.uniform(0, 5, (STEPS, COPIES, 1)).astype(np.float32)
    found = Trajectories.of(segment(part(wide, moved), part(narrow, turned)), game)
    assert (game.observation_widths, game.action_widths, found.steps) == ((5, 3), (4, 1), 6)
    np.testing.assert_array_equal(found.observations[:, :, 0, :4], wide["far"].reshape(3, 3, 4))
    np.testing.assert_array_equal(found.observations[:, :, 0, 4], wide["kind"])
    np.testing.assert_array_equal(found.observations[:, :, 1, :3], narrow[""])
    assert not found.observations[:, :, 1, 3:].any() and not found.actions[:, :, 1, 1:].any()
    np.testing.assert_array_equal(found.actions[:, :, 0], moved.reshape(2, 3, 4))
    assert game.low.tolist() == [[-1.0] * 4, [0.0] * 4] and game.high.tolist() == [[1.0] * 4, [5.0, 0.0, 0.0, 0.0]]
    assert found.acted[..., 0].tolist() == [[True, True, False], [True, False, True]]
    assert found.legal is None and found.rewards[1, 2].tolist() == [5.0, 5.0]


def test_choices_are_one_hot_from_where_they_start_and_masks_go_with_them():
    spec = game_spec(spaces.MultiDiscrete([3, 2]), spaces.Discrete(2, start=7))
    game, (wide, narrow) = Game.of(spec), observed(np.random.default_rng(0))
    picked = np.array([[[0, 0], [1, 1], [2, 0]], [[2, 1], [1, 0], [0, 1]]])
    mask = np.tile(np.array([1, 0, 1, 1, 1], np.uint8), (STEPS, COPIES, 1))
    parts = part(wide, picked, {"": mask}), part(narrow, np.array([[7, 8, 7], [8, 7, 8]]))
    found = Trajectories.of(segment(*parts), game)
    assert found.actions[0, 1, 0].tolist() == [0, 1, 0, 0, 1] and found.actions[1, 0, 0].tolist() == [0, 0, 1, 0, 1]
    assert found.actions[0, :2, 1].tolist() == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]
    assert found.legal[0, 0].tolist() == [[True, False, True, True, True], [True, True, False, False, False]]
    assert game.discrete and not game.continuous


def told_apart(draws, observation, picked, mask):
    """A part of which no field is the same at two places, or as another agent's."""
    shape = (STEPS, COPIES)
    return part(
        observation,
        picked,
        {"": mask},
        log_prob=draws.normal(size=shape).astype(np.float32),
        reward=draws.normal(size=shape),
        terminated=draws.random(shape) < 0.5,
        truncated=draws.random(shape) < 0.5,
        acted=draws.integers(0, 3, shape).astype(np.uint8),
    )


def test_every_number_stays_with_its_agent_step_and_copy():
    game, draws = Game.of(game_spec(spaces.Discrete(4), spaces.Discrete(3))), np.random.default_rng(3)
    (wide, narrow), shape = observed(draws), (STEPS, COPIES)
    masks = [draws.integers(0, 2, (*shape, n)).astype(np.uint8) for n in (4, 3)]
    picked = [draws.integers(0, n, shape) for n in (4, 3)]
    parts = [told_apart(draws, *rest) for rest in zip((wide, narrow), picked, masks, strict=True)]
    state = draws.normal(size=(STEPS + 1, COPIES, 2)).astype(np.float32)
    found = Trajectories.of(Segment(0, 0, True, {"": state}, tuple(parts)), game)
    np.testing.assert_array_equal(found.state, state)
    for t, b, i in np.ndindex(STEPS, COPIES, 2):
        here, own = (t, b, i), parts[i]
        assert found.log_probs[here] == own.log_prob[t, b]
        assert found.rewards[here] == np.float32(own.reward[t, b])
        assert found.terminated[here] == own.terminated[t, b]
        assert found.truncated[here] == own.truncated[t, b]
        assert found.acted[here] == (own.acted[t, b] == 1)
        assert found.actions[here].tolist() == np.eye(4)[picked[i][t, b]].tolist()
        assert found.legal[here].tolist() == [*map(bool, masks[i][t, b]), *[False] * i]


def test_the_oldest_is_the_least_step_of_the_least_epoch_of_all_rows():
    versions = np.zeros((STEPS, COPIES, 2), np.uint64)
    versions[0], versions[1] = [(3, 1), (2, 8), (0, 0)], [(2, 6), (2, 7), (4, 0)]
    spec, picked = game_spec(spaces.Discrete(2), spaces.Discrete(2)), np.zeros((STEPS, COPIES), np.int64)
    wide, narrow = observed(np.random.default_rng(0))
    one, other = part(wide, picked, version=(5, 5)), part(narrow, picked, version=(5, 5))
    for parts in ((replace(one, version=versions), other), (one, replace(other, version=versions))):
        assert Trajectories.of(segment(*parts), Game.of(spec)).version == (2, 6)


@pytest.mark.parametrize(
    ("versions", "oldest"),
    [(((2, 5), (2, 3)), (2, 3)), (((1, 9), (2, 3)), (1, 9)), (((2, 5), (0, 0)), (2, 5)), (((0, 0), (0, 0)), (0, 0))],
)
def test_the_oldest_version_counts_and_scripts_have_none(versions, oldest):
    spec = game_spec(spaces.Discrete(2), spaces.Discrete(2))
    seen, picked = observed(np.random.default_rng(0)), np.zeros((STEPS, COPIES), np.int64)
    parts = [part(o, picked, version=v) for o, v in zip(seen, versions, strict=True)]
    assert Trajectories.of(segment(*parts), Game.of(spec)).version == oldest


def test_an_action_of_several_leaves_is_refused():
    both = spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Discrete(2)})
    with pytest.raises(ValueError, match="action space of wide: expected a single Box or choices"):
        Game.of(game_spec(both, spaces.Discrete(2)))


def two():
    """A segment of two agents that choose, and its game."""
    spec = game_spec(spaces.Discrete(2), spaces.Discrete(2))
    seen, picked = observed(np.random.default_rng(0)), np.zeros((STEPS, COPIES), np.int64)
    return segment(*(part(o, picked) for o in seen)), Game.of(spec)


@pytest.mark.parametrize(
    ("name", "place", "where"),
    [
        ("observations", (2, 1, 1, 0), " for narrow in step 2 of copy 1"),
        ("observations", (0, 2, 0, 4), " for wide in step 0 of copy 2"),
        ("state", (1, 2, 1), " in step 1 of copy 2"),
        ("actions", (1, 0, 1, 0), " for narrow in step 1 of copy 0"),
        ("rewards", (1, 2, 0), " for wide in step 1 of copy 2"),
    ],
)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused_by_its_place(name, place, where, value):
    found = Trajectories.of(*two())
    found.check(two()[1])
    getattr(found, name)[place] = value
    with pytest.raises(ValueError, match=rf"experience\.{name}: expected finite numbers .*, got {value}{where}$"):
        found.check(two()[1])


@pytest.mark.parametrize("name", ["observations", "state", "actions"])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_a_shape_that_is_not_the_games_is_refused(name, axis):
    found, game = Trajectories.of(*two()), two()[1]
    right = list(getattr(found, name).shape)
    wrong = np.concatenate([getattr(found, name)] * 2, axis=axis)
    with pytest.raises(ValueError, match=re.escape(f"experience.{name}: expected {right}, got {list(wrong.shape)}")):
        replace(found, **{name: wrong}).check(game)


def test_what_float32_cannot_hold_is_refused_and_not_clipped():
    whole, game = two()
    whole.agents[1].reward[0, 2] = 1e300
    with pytest.raises(ValueError, match=r"experience\.rewards: .* got inf for narrow in step 0 of copy 2"):
        Trajectories.of(whole, game).check(game)


def test_one_agent_alone():
    state = spaces.Box(-9, 9, (2,), np.float32)
    spec = GameSpec("game", "", ("narrow",), (NEAR,), (spaces.Discrete(2),), state, False, {})
    _, seen = observed(np.random.default_rng(0))
    found = Trajectories.of(segment(part(seen, np.array([[1, 0, 1], [0, 0, 1]]))), Game.of(spec))
    assert found.actions[:, :, 0, 1].tolist() == [[1, 0, 1], [0, 0, 1]] and found.steps == 6


FIELDS = ["observations", "state", "actions", "rewards"]


def whole():
    """Two agents, T = 2, B = 3."""
    game, (wide, narrow) = (
        Game.of(game_spec(spaces.Discrete(2), spaces.Discrete(2))),
        observed(np.random.default_rng(0)),
    )
    picked = np.zeros((STEPS, COPIES), np.int64)
    return game, Trajectories.of(segment(part(wide, picked), part(narrow, picked)), game)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", FIELDS)
def test_what_is_not_finite_is_named_with_its_agent_step_and_copy(field, value):
    game, experience = whole()
    experience.check(game)
    getattr(experience, field)[(1, 2, 1)] = value
    whose = "" if field == "state" else " for narrow"
    words = f"experience.{field}: expected finite numbers that float32 can hold, got {value}{whose} in step 1 of copy 2"
    with pytest.raises(ValueError, match=words):
        experience.check(game)


@pytest.mark.parametrize(("field", "axis"), [*((f, a) for f in FIELDS[:3] for a in (0, 1, 2)), ("rewards", 2)])
def test_what_has_another_shape_is_named(field, axis):
    game, experience = whole()
    values = getattr(experience, field)
    expected, got = list(values.shape), list(values.shape)
    got[axis] += 1
    bad = replace(experience, **{field: np.zeros(got, np.float32)})
    with pytest.raises(ValueError, match=re.escape(f"experience.{field}: expected {expected}, got {got}")):
        bad.check(game)
