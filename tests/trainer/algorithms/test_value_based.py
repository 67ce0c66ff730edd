"""IDQN, VDN and QMIX: targets by hand, games with known answers, masks, padding, sharing, exact resume, refusals.

Networks without hidden layers on one-hot observations are tables, so that what is learned is known exactly.
"""

import dataclasses
import math

import numpy as np
import pytest
import torch
from gymnasium import spaces
from pydantic import ValidationError

from tests.support.states import same
from trainer.algorithms import make_learner
from trainer.algorithms.game import Game
from trainer.algorithms.trajectories import Trajectories
from trainer.checkpoint import load_newest, save_checkpoint
from trainer.export import ActorExporter
from trainer.spec import GameSpec

FAMILY = pytest.mark.parametrize("algorithm", ["idqn", "vdn", "qmix"])
TABLE = {"hidden": (), "warmup": 1, "batch_size": 64, "huber": 1e6, "averaging": 0.1, "rate": 0.05, "discount": 0.5}
GAMMA = TABLE["discount"]


def game_spec(choices=(2, 2), seen=(1, 1), state=1):
    def box(width):
        return spaces.Box(-np.inf, np.inf, (width,), np.float32)

    agents = tuple(f"agent_{i}" for i in range(len(choices)))
    actions = tuple(spaces.Discrete(n) for n in choices)
    return GameSpec("game", "", agents, tuple(box(n) for n in seen), actions, box(state), False, {})


def learner_of(algorithm, spec, **overrides):
    return make_learner(algorithm, TABLE | overrides, spec, 3)


def experience_of(game, where, picked, rewards, **other):
    """Trajectories of what was seen, which is the state too, and done.

    Args:
        game: whose.
        where: int (T + 1, B), a place, which is shown one-hot.
        picked: int (T, B, N).
        rewards: (T, B, N).
        other: fields of ``Trajectories``; without them every episode ends with the last step.
    """
    shape = np.shape(picked)
    shown = np.eye(game.state_width, dtype=np.float32)[where]
    ends = np.zeros(shape, bool)
    ends[-1] = True
    return Trajectories(
        observations=np.repeat(shown[:, :, None, : game.observation_width], game.size, axis=2),
        state=shown,
        actions=np.eye(game.action_width, dtype=np.float32)[picked],
        log_probs=np.zeros(shape, np.float32),
        rewards=np.asarray(rewards, np.float32),
        **{
            "legal": None,
            "terminated": ends,
            "truncated": np.zeros(shape, bool),
            "acted": np.ones(shape, bool),
        }
        | other,
    )


def learn(learner, experience, updates):
    """Take in experience that is worth so many updates."""
    learner.config = learner.config.model_copy(update={"steps_per_update": experience.steps / updates})
    learner.add(experience)
    return learner.update()


def values_at(learner, place):
    """Q(place, .) of all agents, (N, A)."""
    shown = torch.eye(learner.game.state_width)[place, : learner.game.observation_width]
    with torch.no_grad():
        return learner.networks[0](shown.expand(learner.game.size, 1, -1))[:, 0]


def joint_values_at(learner, place):
    """What two agents together value all their choices at, (A, A)."""
    one, other = values_at(learner, place)
    pairs = torch.stack([one[:, None].expand(len(one), len(other)), other.expand(len(one), len(other))]).flatten(1)
    state = torch.eye(learner.game.state_width)[place].expand(pairs.shape[1], -1)
    with torch.no_grad():
        return learner.mix(pairs, state, learner.networks[1:])[0].reshape(len(one), len(other)).numpy()


def set_table(networks, tables):
    """Make the one table (places, A) of all agents what it shall be."""
    weights = torch.tensor(tables)[None]
    networks.load_state_dict({"0": weights, "1": torch.zeros(1, 1, weights.shape[-1])})


def one_step(learner, **other):
    """Both agents are in place 0, choose 0 and 2, earn 1 and 2, and come to place 1."""
    shape = (1, 1, 2)
    nothing = {"terminated": np.zeros(shape, bool)}
    return experience_of(learner.game, [[0], [1]], [[[0, 2]]], [[[1.0, 2.0]]], **nothing | other)


TARGETS = [
    ({}, (1 + GAMMA * 30, 2 + GAMMA * 30)),
    ({"terminated": np.array([[[True, True]]])}, (1.0, 2.0)),
    ({"truncated": np.array([[[True, True]]])}, (1 + GAMMA * 30, 2 + GAMMA * 30)),
    ({"terminated": np.array([[[True, False]]])}, (1.0, 2 + GAMMA * 30)),
    ({"legal": np.array([[[[True, True, False], [True, False, True]]]])}, (1 + GAMMA * 20, 2 + GAMMA * 30)),
]


@pytest.mark.parametrize(("other", "targets"), TARGETS, ids=["goes on", "ended", "cut off", "one ended", "masked"])
@pytest.mark.parametrize("algorithm", ["idqn", "vdn"])
def test_targets_by_hand(algorithm, other, targets):
    """The learned table prefers the last choice in place 1, then the middle one; the target table says their worth."""
    learner = learner_of(algorithm, game_spec((3, 3), (2, 2), 2), averaging=1e-9)
    set_table(learner.networks[0], [[7.0, 8.0, 9.0], [1.0, 2.0, 3.0]])
    state = learner.state_dict()
    set_table(learner.networks[0], [[0.0, 0.0, 0.0], [50.0, 20.0, 30.0]])
    learner.load_state_dict(state | {"target_0": learner.state_dict()["networks_0"]})
    errors = 7.0 - targets[0], 9.0 - targets[1]
    expected = sum(e**2 / 2 for e in errors) if algorithm == "idqn" else sum(errors) ** 2 / 2
    assert learn(learner, one_step(learner, **other), 1)["value"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(("algorithm", "expected"), [("idqn", 6.0**2 / 2), ("vdn", (6.0 - 2.0) ** 2 / 2)])
def test_who_did_not_act_takes_no_part(algorithm, expected):
    """The first agent, worth 7 and paid 1, ends; what the other was paid still belongs to the team."""
    learner = learner_of(algorithm, game_spec((3, 3), (2, 2), 2))
    set_table(learner.networks[0], [[7.0, 8.0, 9.0], [1.0, 2.0, 3.0]])
    ended = np.ones((1, 1, 2), bool)
    experience = one_step(learner, acted=np.array([[[True, False]]]), terminated=ended)
    assert learn(learner, experience, 1)["value"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("ends", [False, True])
def test_monotonic_targets_mix_with_the_targets_own_networks(ends):
    """Against the plain way, a row at a time; nothing follows an end, not even what mixing adds to zeros."""
    learner = learner_of("qmix", game_spec((3, 3), (2, 2), 2), averaging=0.5)
    learn(learner, one_step(learner), 3)
    twin = learner_of("qmix", game_spec((3, 3), (2, 2), 2), averaging=0.5)
    twin.load_state_dict(learner.state_dict())
    state = learner.state_dict()
    q, target = (torch.stack([t["0"][0], t["0"][0]]) + t["1"] for t in (state["networks_0"], state["target_0"]))
    best = q[:, 1].argmax(dim=1)
    after = target[[0, 1], 1, best][:, None]
    for number in (1, 2):
        twin.networks[number].load_state_dict(state[f"target_{number}"])
    with torch.no_grad():
        place = torch.eye(2)
        now = learner.mix(torch.stack([q[0, 0, 0], q[1, 0, 2]])[:, None], place[:1], learner.networks[1:])
        y = 3.0 + GAMMA * (1 - ends) * learner.mix(after, place[1:], twin.networks[1:])
    last = one_step(learner, terminated=np.full((1, 1, 2), ends))
    learner = learner_of("qmix", game_spec((3, 3), (2, 2), 2), averaging=0.5)
    learner.load_state_dict(state | {"memory": learner.state_dict()["memory"]})
    assert learn(learner, last, 1)["value"] == pytest.approx(float((now - y) ** 2 / 2), rel=1e-4)


def uniform_play(payoffs, copies=512):
    """One step in place 0 of a matrix game for two with a common payoff; every joint action as often as any other."""
    game = Game.of(game_spec(payoffs.shape))
    joint = np.arange(copies) % payoffs.size
    picked = np.stack(np.unravel_index(joint, payoffs.shape), axis=-1)[None]
    rewards = np.repeat(payoffs[picked[..., 0], picked[..., 1]][..., None], 2, axis=2) / 2
    return experience_of(game, np.zeros((2, copies), int), picked, rewards)


def test_independent_learners_find_what_a_choice_is_worth_on_average():
    """Against a uniform partner: the means of rows and of columns."""
    payoffs = np.array([[8.0, 0.0], [2.0, 1.0]])
    learner = learner_of("idqn", game_spec(), share=False, batch_size=256)
    learn(learner, uniform_play(payoffs), 200)
    expected = np.stack([payoffs.mean(axis=1), payoffs.mean(axis=0)]) / 2
    np.testing.assert_allclose(values_at(learner, 0), expected, atol=0.15)


def test_additive_learners_find_the_nearest_sum():
    """Least squares: the row's mean plus the column's less the grand mean."""
    payoffs = np.array([[8.0, 0.0], [2.0, 1.0]])
    learner = learner_of("vdn", game_spec(), share=False, batch_size=256)
    learn(learner, uniform_play(payoffs), 200)
    expected = payoffs.mean(axis=1, keepdims=True) + payoffs.mean(axis=0) - payoffs.mean()
    np.testing.assert_allclose(joint_values_at(learner, 0), expected, atol=0.3)


@FAMILY
def test_a_coordination_game_is_solved(algorithm):
    """Both shall choose 1, whatever way values are decomposed."""
    learner = learner_of(algorithm, game_spec(), share=False)
    learn(learner, uniform_play(np.array([[1.0, 0.0], [0.0, 6.0]])), 300)
    actions, _ = learner.act(np.ones((1, 2, 1), np.float32), None)
    assert actions.argmax(axis=-1).tolist() == [[1, 1]]


@pytest.mark.parametrize(("algorithm", "first", "reward"), [("vdn", 0, 7.0), ("qmix", 1, 8.0)])
def test_the_two_step_game(algorithm, first, reward):
    """Rashid et al. 2018, section 5: sums cannot value the second matrix, so VDN takes the 7 and QMIX finds the 8."""
    matrices = np.array([[[7.0, 7.0], [7.0, 7.0]], [[0.0, 1.0], [1.0, 8.0]]])
    copies, draws = 512, np.random.default_rng(0)
    picked = draws.integers(0, 2, (2, copies, 2))
    where = np.stack([np.zeros(copies, int), 1 + picked[0, :, 0], np.zeros(copies, int)])
    paid = matrices[picked[0, :, 0], picked[1, :, 0], picked[1, :, 1]]
    rewards = np.stack([np.zeros(copies), paid])[..., None].repeat(2, axis=2) / 2
    mixing = {"mixing_scale": 1.0} if algorithm == "qmix" else {}
    learner = learner_of(algorithm, game_spec((2, 2), (3, 3), 3), share=False, discount=0.99, rate=0.02, **mixing)
    learn(learner, experience_of(learner.game, where, picked, rewards), 500)
    taken = values_at(learner, 0).argmax(dim=1)
    assert int(taken[0]) == first
    second = values_at(learner, 1 + first).argmax(dim=1)
    assert matrices[(first, *second)] == reward
    if algorithm == "qmix":
        np.testing.assert_allclose(joint_values_at(learner, 2), matrices[1], atol=0.3)
    else:
        expected = np.array([[-1.5, 2.5], [2.5, 6.5]])  # the paper's table, by least squares
        np.testing.assert_allclose(joint_values_at(learner, 2), expected, atol=0.5)


@FAMILY
def test_agents_of_other_shapes_are_padded(algorithm):
    spec = game_spec((2, 4, 3), (3, 1, 2), 3)
    learner = learner_of(algorithm, spec, hidden=(8,), epsilon_final=1.0)
    draws = np.random.default_rng(0)
    seen = draws.normal(size=(300, 3, 3)).astype(np.float32)
    seen *= np.arange(3) < np.array([3, 1, 2])[:, None]
    with torch.no_grad():
        for weight in learner.networks[0].weights:
            weight[..., -1:] += 5.0  # padding looks best
    greedy, certain = learner.act(seen, None)
    explored, _ = learner.act(seen, draws)
    assert not certain.any()
    for actions in (greedy, explored):
        assert (actions.sum(axis=-1) == 1).all()
        assert actions[:, 0, 2:].sum() == actions[:, 2, 3:].sum() == 0
    actors = learner.actors()
    assert len(ActorExporter().export_all(actors)) == 3
    for i, width in enumerate((3, 1, 2)):
        (leaf,) = learner.game.observation[i]
        assert (actors[i]({leaf.path: seen[:, i, :width]}).argmax(axis=1) == greedy[:, i].argmax(axis=1)).all()


def test_exploration_is_epsilon_greedy_with_its_probabilities():
    learner = learner_of("vdn", game_spec((4, 4)), epsilon_initial=0.4)
    set_table(learner.networks[0], [[0.0, 3.0, 1.0, 2.0]])
    rows = 20_000
    actions, log_probs = learner.act(np.ones((rows, 2, 1), np.float32), np.random.default_rng(0))
    odds = np.array([0.1, 0.7, 0.1, 0.1])
    np.testing.assert_allclose(actions.mean(axis=(0, 1)), odds, atol=5 * math.sqrt(0.25 / (2 * rows)))
    np.testing.assert_allclose(np.exp(log_probs), actions @ odds, rtol=1e-5)


def test_agents_of_other_shapes_explore_their_own_choices_evenly():
    """ε = 0.6: 0.3 each of two, or 0.15 each of four, and the rest on the best, which is told its odds too."""
    learner = learner_of("idqn", game_spec((2, 4), (1, 1)), epsilon_initial=0.6, share=False)
    tables = torch.tensor([[[0.0, 1.0, 9.0, 9.0]], [[0.0, 1.0, 3.0, 2.0]]])
    learner.networks[0].load_state_dict({"0": tables, "1": torch.zeros(2, 1, 4)})
    rows = 20_000
    actions, log_probs = learner.act(np.ones((rows, 2, 1), np.float32), np.random.default_rng(0))
    odds = np.array([[0.3, 0.7, 0.0, 0.0], [0.15, 0.15, 0.55, 0.15]])
    np.testing.assert_allclose(actions.mean(axis=0), odds, atol=5 * math.sqrt(0.25 / rows))
    np.testing.assert_allclose(np.exp(log_probs), (actions * odds).sum(axis=-1), rtol=1e-5)
    assert (actions.dtype, log_probs.dtype) == (np.float32, np.float32)
    assert learner.exploration().noise_scale == 0.0


@FAMILY
def test_targets_begin_as_copies_and_follow_at_their_rate(algorithm):
    for rate in (1e-12, 0.25, 1.0):
        learner = learner_of(algorithm, game_spec((3, 3), (2, 2), 2), averaging=rate)
        begun = learner.state_dict()
        same(begun["target_0"], begun["networks_0"])
        learn(learner, one_step(learner), 1)
        now = learner.state_dict()
        for name in [name for name in now if name.startswith("networks_")]:
            target = name.replace("networks", "target")
            for key, live in now[name].items():
                wanted = (1 - rate) * begun[target][key] + rate * live
                torch.testing.assert_close(now[target][key], wanted, atol=1e-6, rtol=0.0)
        assert not torch.equal(now["networks_0"]["0"], begun["networks_0"]["0"])


def test_epsilon_falls_with_steps_and_then_stays():
    learner = learner_of("idqn", game_spec(), epsilon_initial=0.9, epsilon_final=0.1, epsilon_steps=800)
    seen = []
    for _ in range(4):
        seen.append(learner.exploration().epsilon)
        learner.add(uniform_play(np.zeros((2, 2)), 400))
    assert seen == pytest.approx([0.9, 0.5, 0.1, 0.1])


def test_the_step_size_falls_with_steps_and_then_stays():
    """Adam's first step is as long as its step size, in every parameter that has a gradient."""
    for steps, share in ((4, 0.75), (16, 0.25)):
        learner = learner_of("idqn", game_spec(), rate=0.1, rate_steps=16, rate_floor=0.25)
        before = values_at(learner, 0)
        learn(learner, uniform_play(np.full((2, 2), 9.0), steps), 1)
        torch.testing.assert_close(values_at(learner, 0) - before, torch.full((2, 2), 2 * 0.1 * share))


def test_too_old_experience_is_dropped_and_counted():
    learner = learner_of("vdn", game_spec(), max_staleness=2, steps_per_update=8)
    block = uniform_play(np.ones((2, 2)), 32)
    learner.add(block)
    learner.update()
    assert learner.updates == 4
    learner.add(dataclasses.replace(block, version=(1, 2)))
    assert (learner.stale, learner.experience) == (0, 64)
    learner.add(dataclasses.replace(block, version=(1, 1)))
    assert (learner.stale, learner.experience) == (32, 64)


def test_nothing_is_learned_while_warming_up():
    learner = learner_of("idqn", game_spec(), warmup=64, steps_per_update=8)
    for updates in (0, 4, 8):
        learner.add(uniform_play(np.ones((2, 2)), 32))
        assert bool(learner.update()) == bool(updates)
        assert learner.updates == updates


@FAMILY
def test_goes_on_exactly(algorithm, tmp_path):
    overrides = {"hidden": (8,), "steps_per_update": 10}
    spec = game_spec((3, 3, 2), (2, 2, 2), 2)
    game, draws = Game.of(spec), np.random.default_rng(1)
    blocks = []
    for _ in range(2):
        picked = draws.integers(0, (3, 3, 2), (4, 16, 3))
        blocks.append(experience_of(game, draws.integers(0, 2, (5, 16)), picked, draws.normal(size=(4, 16, 3))))
    learner, other = (learner_of(algorithm, spec, **overrides) for _ in range(2))
    learner.add(blocks[0])
    learner.update()
    save_checkpoint(tmp_path, 1, learner.state_dict(), keep=1)
    other.load_state_dict(load_newest(tmp_path))
    for each in (learner, other):
        each.add(blocks[1])
        assert each.update()
    same(learner.state_dict(), other.state_dict())


@pytest.mark.parametrize(("share", "networks"), [(None, 2), (True, 2), (False, 3)])
def test_agents_with_equal_spaces_share(share, networks):
    learner = learner_of("idqn", game_spec((2, 3, 2), (1, 1, 1)), share=share)
    assert len(learner.networks[0].weights[0]) == networks


@FAMILY
def test_sharing_is_off_where_no_two_are_alike_and_cannot_be_asked_for(algorithm):
    spec = game_spec((2, 3), (1, 1))
    assert len(learner_of(algorithm, spec).networks[0].weights[0]) == 2
    with pytest.raises(ValueError, match="share: expected agents with equal spaces"):
        learner_of(algorithm, spec, share=True)


@FAMILY
@pytest.mark.parametrize(
    ("action", "got"),
    [
        (spaces.Box(0.0, 1.0, (2,), np.float32), r"a Box of shape \[2\]"),
        (spaces.MultiDiscrete([2, 3]), "2 choices at once"),
    ],
)
def test_other_actions_are_refused(algorithm, action, got):
    spec = dataclasses.replace(game_spec(), action_spaces=(spaces.Discrete(2), action))
    with pytest.raises(
        ValueError, match=rf"{algorithm} cannot learn game: .* got {got} for agent_1; learners that fit"
    ):
        learner_of(algorithm, spec)


def test_qmix_is_refused_without_a_global_state():
    spec = dataclasses.replace(game_spec(), state_space=spaces.Dict({}))
    learner_of("vdn", spec)
    with pytest.raises(ValueError, match=r"expected a global state, got none; learners that fit: .*vdn"):
        learner_of("qmix", spec)


@pytest.mark.parametrize("field", ["discount", "epsilon_final", "steps_per_update", "anything"])
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(ValidationError, match=field):
        learner_of("vdn", game_spec(), **{field: -1})


@FAMILY
def test_what_is_not_finite_is_refused(algorithm):
    learner = learner_of(algorithm, game_spec())
    with pytest.raises(ValueError, match="expected finite numbers"):
        learner.add(uniform_play(np.array([[1.0, np.nan], [0.0, 0.0]]), 4))
