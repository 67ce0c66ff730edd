"""MADDPG, MATD3 and IDDPG: what critics read, sharing, padding, exact resume, and games with known answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from trainer.algorithms import make_learner
from trainer.algorithms.critics import JointCritics, OwnCritics
from trainer.algorithms.deterministic_config import DeterministicConfig
from trainer.algorithms.game import Game
from trainer.algorithms.sharing import members_of, own_first
from trainer.algorithms.trajectories import Trajectories
from trainer.spec import GameSpec

FAMILY = pytest.mark.parametrize("algorithm", ["maddpg", "matd3", "iddpg"])
QUICK = {"warmup": 32, "steps_per_update": 4, "batch_size": 64, "actor_hidden": (16,), "critic_hidden": (16,)}

SOLVES = QUICK | {
    "actor_rate": 6e-3,
    "critic_rate": 2e-2,
    "averaging": 0.1,
    "steps_per_update": 8,
    "discount": 0.5,
    "activation": "silu",
    "critic_hidden": (32,),
}


def box(width, low=-np.inf, high=np.inf):
    return spaces.Box(low, high, (width,), np.float32)


def game_spec(seen=(4, 4, 4), done=(2, 2, 2), choices=False, state=6):
    actions = [spaces.Discrete(n) if choices else box(n, -1.0, 3.0) for n in done]
    agents = tuple(f"agent_{i}" for i in range(len(seen)))
    return GameSpec("game", "", agents, tuple(box(n) for n in seen), tuple(actions), box(state), False, {})


def experience_of(spec, steps=3, copies=16, seed=0, rewards=None, actions=None, terminated=None):
    game, draws = Game.of(spec), np.random.default_rng(seed)
    shape = (steps, copies, game.size)
    if actions is None:
        if game.discrete:
            actions = np.zeros((*shape, game.action_width), np.float32)
            for i, n in enumerate(game.action_widths):
                np.put_along_axis(actions[:, :, i], draws.integers(0, n, (*shape[:2], 1)), 1.0, axis=-1)
        else:
            actions = draws.uniform(game.low, game.high, (*shape, game.action_width)).astype(np.float32)
    seen = draws.normal(size=(steps + 1, copies, game.size, game.observation_width)).astype(np.float32)
    seen *= np.arange(game.observation_width) < np.array(game.observation_widths)[:, None]
    return Trajectories(
        observations=seen,
        state=draws.normal(size=(steps + 1, copies, game.state_width)).astype(np.float32),
        actions=actions,
        legal=None,
        log_probs=np.zeros(shape, np.float32),
        rewards=draws.normal(size=shape).astype(np.float32) if rewards is None else rewards(actions),
        terminated=np.zeros(shape, bool) if terminated is None else terminated,
        truncated=np.zeros(shape, bool),
        acted=np.ones(shape, bool),
    )


def seeded():
    return torch.Generator().manual_seed(1)


def tensors(game, batch=7, seed=0):
    draws = torch.Generator().manual_seed(seed)
    widths = ((game.size, game.observation_width), (game.size, game.action_width), (game.state_width,))
    return [torch.randn(batch, *width, generator=draws) for width in widths]


@pytest.mark.parametrize("share", [False, True])
@pytest.mark.parametrize("state", [False, True])
def test_joint_critics_read_everything_in_their_own_order(share, state):
    """Against the plain way: concatenate for each agent in its order, and go through its network."""
    game = Game.of(game_spec())
    members = members_of(game, share)
    critics = JointCritics(game, members, DeterministicConfig(critic_hidden=(8, 5), state=state), seeded())
    seen, done, whole = tensors(game)
    order = own_first(members)
    own = torch.randn(3, 7, 2, generator=torch.Generator().manual_seed(5))
    values = critics.values(critics.networks, seen, done, whole if state else whole[:, :0])
    changed = critics.values_of_own(own, seen, done, whole if state else whole[:, :0])
    for agent in range(3):
        replaced = done.clone()
        replaced[:, agent] = own[agent]
        for joint, got in ((done, values), (replaced, changed)):
            parts = [
                seen[:, order[agent]].flatten(1),
                joint[:, order[agent]].flatten(1),
                whole if state else whole[:, :0],
            ]
            hidden = torch.cat(parts, dim=1)
            layers = critics.networks.member(agent)
            for number, (weight, bias) in enumerate(layers):
                hidden = hidden @ weight + bias
                hidden = torch.relu(hidden) if number < len(layers) - 1 else hidden
            torch.testing.assert_close(got[agent].detach(), hidden[:, 0], atol=1e-5, rtol=1e-5)


def test_own_critics_see_nothing_of_others():
    game = Game.of(game_spec())
    critics = OwnCritics(game, [0, 1, 2], DeterministicConfig(critic_hidden=(8,)), seeded())
    seen, done, whole = tensors(game)
    before = critics.values(critics.networks, seen, done, whole)
    seen[:, 1], done[:, 1] = 9.0, 9.0
    after = critics.values(critics.networks, seen, done, whole)
    assert torch.equal(before[[0, 2]], after[[0, 2]]) and not torch.equal(before[1], after[1])


@FAMILY
@pytest.mark.parametrize("choices", [False, True])
def test_a_learner_goes_on_exactly(algorithm, choices):
    spec = game_spec(choices=choices)
    first, second = (make_learner(algorithm, QUICK, spec, 3) for _ in range(2))
    for seed in range(3):
        first.add(experience_of(spec, seed=seed))
        first.update()
    second.load_state_dict(first.state_dict())
    for learner in (first, second):
        learner.add(experience_of(spec, seed=9))
        learner.update()
    assert first.updates == second.updates > 0
    for one, other in zip(first.actors(), second.actors(), strict=True):
        for (weight, bias), (same_weight, same_bias) in zip(one.layers, other.layers, strict=True):
            assert np.array_equal(weight, same_weight) and np.array_equal(bias, same_bias)


@FAMILY
@pytest.mark.parametrize("choices", [False, True])
def test_unequal_agents_are_padded_and_their_actors_cut(algorithm, choices):
    spec = game_spec(seen=(3, 5), done=(2, 4), choices=choices)
    learner = make_learner(algorithm, QUICK, spec, 0)
    learner.add(experience_of(spec))
    learner.update()
    experience = experience_of(spec, steps=1)
    acted, _ = learner.act(experience.observations[0], None)
    for i, (actor, seen, done) in enumerate(zip(learner.actors(), (3, 5), (2, 4), strict=True)):
        assert actor.layers[0][0].shape[0] == seen and actor.layers[-1][0].shape[1] == done
        outputs = actor({"": experience.observations[0][:, i, :seen]})
        expected = np.eye(done)[outputs.argmax(axis=1)] if choices else outputs
        np.testing.assert_allclose(acted[:, i, :done], expected, atol=1e-5)
        assert not acted[:, i, done:].any()


@FAMILY
def test_shared_agents_have_one_actor(algorithm):
    spec = game_spec(seen=(4, 5, 4), done=(2, 2, 2))
    learner = make_learner(algorithm, {**QUICK, "share": True}, spec, 0)
    learner.add(experience_of(spec))
    learner.update()
    first, other, last = (actor.layers[0][0] for actor in learner.actors())
    assert np.array_equal(first, last) and first.shape != other.shape


def two_steps(spec, actions, seen, rewards):
    """Episodes of two decisions; what is seen after the end is as wild as can be and must not matter."""
    ends = np.zeros(rewards.shape, bool)
    ends[1] = True
    after = np.full_like(seen[:1], 50.0)
    experience = experience_of(spec, 2, rewards.shape[1], rewards=lambda _: rewards, actions=actions, terminated=ends)
    return replace(experience, observations=np.concatenate([seen, after]).astype(np.float32))


def settled(learner, block, rounds=15):
    for seed in range(rounds):
        learner.add(block(np.random.default_rng(seed)))
        learner.update()


@pytest.mark.parametrize(("algorithm", "share"), [("maddpg", False), ("matd3", True), ("iddpg", False)])
def test_what_pays_later_counts_by_the_discount(algorithm, share):
    """A first action a costs a² and pays 4 a with the second step, which also costs the squared distance from a goal.

    So the first best is 2 γ = 1 (and 0 or 2 for those who do not look ahead or do not discount), whatever others do,
    and the second the goal.
    """
    spec = game_spec(seen=(2, 2), done=(1, 1), state=1)
    goals = np.array([0.5, 0.5] if share else [0.0, 2.0], np.float32)

    def block(draws, copies=64):
        actions = draws.uniform(-1.0, 3.0, (2, copies, 2, 1)).astype(np.float32)
        first, second = actions[..., 0]
        seen = np.stack([np.stack([np.ones_like(first), np.zeros_like(first)], -1)] * 2)
        seen[1] = np.stack([np.zeros_like(first), first], -1)
        return two_steps(spec, actions, seen, np.stack([-np.square(first), 4 * first - np.square(second - goals)]))

    learner = make_learner(algorithm, SOLVES | {"share": share}, spec, 0)
    settled(learner, block)
    start, later = np.array([[[1.0, 0.0]] * 2], np.float32), np.array([[[0.0, 1.0]] * 2], np.float32)
    np.testing.assert_allclose(learner.act(start, None)[0][0, :, 0], [1.0, 1.0], atol=0.4)
    np.testing.assert_allclose(learner.act(later, None)[0][0, :, 0], goals, atol=0.4)


def test_choices_that_pay_later_are_found():
    """The first agent's choice is the place they come to: 1 pays 0.1 at once, 2 pays 1 later if both then choose 2.

    Later is worth half, so 0.5 against 0.1.
    """
    spec = game_spec(seen=(4, 4), done=(3, 3), choices=True, state=1)

    def block(draws, copies=64):
        picked = draws.integers(0, 3, (2, copies, 2))
        actions, place = np.eye(3, dtype=np.float32)[picked], picked[0, :, 0]
        seen = np.eye(4, dtype=np.float32)[np.stack([np.full(copies, 3), place])][:, :, None].repeat(2, axis=2)
        paid = np.stack([0.1 * (place == 1), (place == 2) & (picked[1] == 2).all(axis=1)]).astype(np.float32)
        return two_steps(spec, actions, seen, paid[..., None].repeat(2, axis=2))

    learner = make_learner("maddpg", SOLVES, spec, 0)
    settled(learner, block)
    start, later = (np.eye(4, dtype=np.float32)[[[place] * 2]] for place in (3, 2))
    assert learner.act(start, None)[0][0, 0].argmax() == 2
    assert learner.act(later, None)[0][0].argmax(axis=-1).tolist() == [2, 2]


@FAMILY
def test_what_is_too_old_is_dropped_and_counted(algorithm):
    spec = game_spec()
    learner = make_learner(algorithm, {**QUICK, "max_staleness": 0}, spec, 0)
    learner.add(experience_of(spec))
    assert learner.update() and learner.updates
    learner.add(experience_of(spec))
    assert learner.stale == 48 and not learner.update()


@FAMILY
@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ((box(2), box(2)), "expected actions with finite bounds"),
        ((box(2, 0, 1), spaces.Discrete(2)), "expected actions of one kind"),
        ((spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 2])), "expected one choice each or all alike"),
    ],
)
def test_games_that_do_not_fit_are_refused(algorithm, actions, why):
    spec = GameSpec("odd", "", ("a", "b"), (box(2), box(2)), actions, box(1), False, {})
    with pytest.raises(ValueError, match=f"{algorithm} cannot learn odd: {why}"):
        make_learner(algorithm, {}, spec, 0)


@FAMILY
def test_experience_of_another_game_is_refused(algorithm):
    learner = make_learner(algorithm, QUICK, game_spec(), 0)
    with pytest.raises(ValueError, match=r"experience\.observations: expected \[4, 16, 3, 4\], got \[4, 16, 2, 5\]"):
        learner.add(experience_of(game_spec(seen=(5, 5), done=(2, 2))))
    bad = experience_of(game_spec())
    bad.rewards[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match=r"experience\.rewards: expected finite numbers"):
        learner.add(bad)
    assert learner.experience == 0


def test_agents_that_are_not_alike_cannot_share():
    with pytest.raises(ValueError, match="share: expected agents with equal spaces"):
        make_learner("maddpg", {"share": True}, game_spec(seen=(3, 5), done=(2, 2)), 0)
