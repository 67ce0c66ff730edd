"""MAPPO and IPPO on experience made by hand: games of one step with known answers, and what must not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from trainer.algorithms import make_learner
from trainer.algorithms.trajectories import Trajectories
from trainer.checkpoint import load_newest, save_checkpoint
from trainer.spec import GameSpec

SEEN = spaces.Box(-1.0, 1.0, (2,), np.float32)
WIDER = spaces.Box(-1.0, 1.0, (3,), np.float32)
BOX = spaces.Box(0.0, 1.0, (1,), np.float32)
FAST = {
    "actor_hidden": [16],
    "critic_hidden": [16],
    "epochs": 4,
    "minibatches": 1,
    "entropy": 0.0,
    "actor_rate": 0.03,
    "critic_rate": 0.03,
}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def spec(*actions, seen=None, state=SEEN):
    agents = tuple(f"agent_{i}" for i in range(len(actions)))
    return GameSpec("test", "{}", agents, seen or (SEEN,) * len(actions), actions, state, False, {})


def learner_of(name, game, seed=0, **overrides):
    return make_learner(name, {**FAST, **overrides}, game, seed)


def played(learner, payoff, copies=128, seed=0):
    """One step of a matrix game: everyone sees nothing of interest, acts once, and is paid."""
    n, shape = learner.game.size, (2, copies, learner.game.size, learner.game.observation_width)
    observations = np.zeros(shape, np.float32)
    actions, log_probs = learner.act(observations[0], np.random.default_rng([seed, learner.updates]))
    no, yes = np.zeros((1, copies, n), bool), np.ones((1, copies, n), bool)
    return Trajectories(
        observations=observations,
        state=np.zeros((2, copies, learner.game.state_width), np.float32),
        actions=actions[None],
        legal=None,
        log_probs=log_probs[None],
        rewards=payoff(actions)[None].astype(np.float32),
        terminated=yes,
        truncated=no,
        acted=yes,
        version=(0, learner.updates),
    )


def solved(learner, payoff, rounds):
    for _ in range(rounds):
        learner.add(played(learner, payoff))
        learner.update()
    return learner.act(np.zeros((1, learner.game.size, learner.game.observation_width), np.float32), None)[0][0]


def of_matrix(first, second):
    def payoff(actions):
        row, column = actions[:, 0].argmax(axis=1), actions[:, 1].argmax(axis=1)
        return np.stack([np.array(first)[row, column], np.array(second)[row, column]], axis=1)

    return payoff


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize("share", [True, False])
def test_prisoners_defect(name, share):
    learner = learner_of(name, spec(spaces.Discrete(2), spaces.Discrete(2)), share=share)
    dilemma = of_matrix([[3.0, 0.0], [5.0, 1.0]], [[3.0, 5.0], [0.0, 1.0]])
    assert solved(learner, dilemma, 30).argmax(axis=1).tolist() == [1, 1]
    assert played(learner, dilemma).actions[0, :, :, 1].mean() > 0.9


@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_partners_meet_where_it_pays_most(name):
    common = [[0.0, 0.0, 2.0], [0.0, 9.0, 0.0], [3.0, 0.0, 0.0]]
    learner = learner_of(name, spec(spaces.Discrete(3), spaces.Discrete(3)))
    assert solved(learner, of_matrix(common, common), 30).argmax(axis=1).tolist() == [1, 1]


@pytest.mark.parametrize("name", ["mappo", "ippo"])
def test_duopolists_of_linear_demand_find_the_equilibrium_of_prices(name):
    # Profit p_i (0.6 - p_i + p_j / 2), so p_i = (0.6 + p_j / 2) / 2: both 0.4.
    learner = learner_of(name, spec(BOX, BOX), initial_std=0.1)

    def profit(actions):
        price = actions[..., 0]
        return price * (0.6 - price + 0.5 * price[:, ::-1])

    np.testing.assert_allclose(solved(learner, profit, 60)[:, 0], 0.4, atol=0.03)


def test_what_lies_beyond_a_bound_is_found_on_it():
    learner = learner_of("mappo", spec(BOX, BOX, seen=(SEEN, WIDER)), initial_std=0.3)
    found = solved(learner, lambda actions: -np.square(actions[..., 0] - np.array([1.5, -0.5])), 60)[:, 0]
    assert found[0] > 0.95
    assert found[1] < 0.05


def test_choosing_by_what_is_seen_and_through_time():
    """All reward comes with the last step, whose observation does not tell it: whole returns must reach the first."""
    learner = learner_of("ippo", spec(spaces.Discrete(2)), gae_lambda=1.0, discount=0.99)
    draws = np.random.default_rng(0)
    for _ in range(30):
        signs = draws.choice(np.array([-1.0, 1.0], np.float32), 128)
        observations = np.zeros((4, 128, 1, 2), np.float32)
        observations[0, :, 0, 0], observations[1:, :, 0, 1] = signs, 1.0
        acts = [learner.act(observations[t], draws)[0] for t in range(3)]
        experience = replace(
            played(learner, lambda actions: np.zeros((128, 1))),
            **{name: np.zeros((3, 128, 1), bool) for name in ("terminated", "truncated")},
            observations=observations,
            state=np.zeros((4, 128, 2), np.float32),
            actions=np.stack(acts),
            log_probs=np.zeros((3, 128, 1), np.float32),
            rewards=np.zeros((3, 128, 1), np.float32),
            acted=np.ones((3, 128, 1), bool),
        )
        experience.terminated[-1] = True
        experience.rewards[-1, :, 0] = np.where(acts[0][:, 0, 1] == (signs > 0), 1.0, -1.0)
        learner.add(experience)
        learner.update()
    seen = np.array([[[1.0, 0.0]], [[-1.0, 0.0]]], np.float32)
    assert learner.act(seen, None)[0][:, 0].argmax(axis=1).tolist() == [1, 0]


def recorded(game, seed=1, steps=5, copies=8, **changes):
    """Experience at random: some agents end before others, and some steps are not their own."""
    draws = np.random.default_rng(seed)
    lead, n = (steps, copies), len(game.agents)
    learner = learner_of("ippo", game)
    wide = learner.game.observation_width
    observations = draws.uniform(-1, 1, (steps + 1, copies, n, wide)).astype(np.float32)
    observations *= np.arange(wide) < np.array(learner.game.observation_widths)[:, None]
    acts = [learner.act(observations[t], draws) for t in range(steps)]
    return Trajectories(
        observations=observations,
        state=draws.uniform(-1, 1, (steps + 1, copies, 2)).astype(np.float32),
        actions=np.stack([actions for actions, _ in acts]),
        legal=None,
        log_probs=np.stack([log_probs for _, log_probs in acts]),
        rewards=draws.normal(size=(*lead, n)).astype(np.float32),
        terminated=draws.random((*lead, n)) < 0.1,
        truncated=draws.random((*lead, n)) < 0.1,
        acted=draws.random((*lead, n)) < 0.8,
        **changes,
    )


def tensors(state, prefix=""):
    for key, value in state.items():
        if isinstance(value, dict):
            yield from tensors(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def assert_same(one, other):
    one, other = dict(tensors(one)), dict(tensors(other))
    assert one.keys() == other.keys()
    for key, value in one.items():
        same = torch.equal(value, other[key]) if isinstance(value, torch.Tensor) else value == other[key]
        assert same, key


MIXED = spec(spaces.Discrete(2), spaces.Discrete(3), spaces.Discrete(3), seen=(SEEN, WIDER, WIDER))
BOXES = spec(BOX, spaces.Box(-1.0, 3.0, (2,), np.float32), seen=(SEEN, WIDER))


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize("game", [MIXED, BOXES])
def test_resumes_exactly_through_a_checkpoint(name, game, tmp_path):
    learner = learner_of(name, game)
    learner.add(recorded(game))
    learner.update()
    learner.add(recorded(game, seed=2, version=(0, learner.updates)))
    save_checkpoint(tmp_path, 1, learner.state_dict(), keep=1)
    other = learner_of(name, game, seed=9)
    other.load_state_dict(load_newest(tmp_path))
    assert_same(learner.state_dict(), other.state_dict())
    for one in (learner, other):
        one.update()
        one.add(recorded(game, seed=3, version=(1, one.updates)))
        one.update()
    assert learner.updates == 12
    assert_same(learner.state_dict(), other.state_dict())


@pytest.mark.parametrize("name", ["mappo", "ippo"])
@pytest.mark.parametrize("game", [MIXED, BOXES])
def test_exported_actors_say_what_the_learner_does(name, game):
    learner = learner_of(name, game)
    learner.add(recorded(game))
    learner.update()
    experience = recorded(game, seed=4)
    acted = learner.act(experience.observations[0], None)[0]
    for i, actor in enumerate(learner.actors()):
        width = learner.game.observation_widths[i]
        outputs = actor({"": experience.observations[0, :, i, :width]})
        assert outputs.shape[1] == learner.game.action_widths[i]
        own = acted[:, i, : outputs.shape[1]]
        if learner.game.discrete:
            np.testing.assert_array_equal(own.argmax(axis=1), outputs.argmax(axis=1))
            assert actor.log_std is None
        else:
            np.testing.assert_allclose(own, outputs, atol=1e-5)
            assert actor.log_std.shape == (outputs.shape[1],)


@pytest.mark.parametrize("game", [MIXED, BOXES])
def test_log_probabilities_of_the_past_are_found_again(game):
    learner = learner_of("ippo", game)
    experience = recorded(game)
    learner.add(experience)
    old = learner.state_dict()["pending"]["0"]["old"]
    np.testing.assert_allclose(old, experience.log_probs.reshape(-1, len(game.agents)).T, atol=1e-5)


def test_what_nobody_decided_changes_nothing():
    states = []
    for seed in (0, 1):
        learner, experience = learner_of("ippo", MIXED), recorded(MIXED)
        idle = ~experience.acted
        draws = np.random.default_rng(seed)
        unseen = idle.copy()
        unseen[1:] &= ~experience.truncated[:-1]  # there it is what the episode might have gone on from
        experience.observations[:-1][unseen] *= draws.uniform(0.5, 2.0)
        experience.actions[idle] = 0.0
        experience.log_probs[idle] = draws.normal()
        learner.add(experience)
        learner.update()
        states.append({name: learner.state_dict()[name] for name in ("actor", "critic", "norm")})
    assert_same(*states)


def test_only_mappo_sees_the_state():
    for name, matters in (("mappo", True), ("ippo", False)):
        advantages = []
        for scale in (1.0, -0.5):
            learner, experience = learner_of(name, MIXED), recorded(MIXED)
            learner.add(replace(experience, state=scale * experience.state))
            advantages.append(learner.state_dict()["pending"]["0"]["advantages"])
        assert torch.equal(*advantages) != matters


def test_experience_of_older_policies_is_dropped_and_counted():
    learner = learner_of("mappo", MIXED)
    learner.add(recorded(MIXED))
    learner.update()
    learner.add(recorded(MIXED))
    assert learner.stale == 40
    assert learner.update() == {}


def test_illegal_choices_of_the_past_do_not_count():
    learner, experience = learner_of("mappo", MIXED), recorded(MIXED)
    only = experience.actions > 0
    learner.add(replace(experience, legal=only))
    assert not learner.state_dict()["pending"]["0"]["old"].any()
    before = learner.state_dict()["actor"]
    learner.update()
    assert_same(before, learner.state_dict()["actor"])


def test_agents_alike_share_and_others_do_not():
    assert learner_of("mappo", MIXED).state_dict()["actor"]["0"].shape[0] == 2
    assert learner_of("mappo", MIXED, share=False).state_dict()["actor"]["0"].shape[0] == 3
    with pytest.raises(ValueError, match="share: expected agents with equal spaces, got agent_0, agent_1"):
        learner_of("mappo", BOXES, share=True)


def test_refusals():
    with pytest.raises(ValueError, match="boxes and choices"):
        learner_of("mappo", spec(BOX, spaces.Discrete(2)))
    with pytest.raises(ValueError, match="expected a global state, got none"):
        learner_of("mappo", spec(BOX, BOX, state=spaces.Dict({})))
    learner, experience = learner_of("ippo", MIXED), recorded(MIXED)
    with pytest.raises(ValueError, match=r"experience\.rewards: expected \[5, 8, 3\], got \[5, 8, 2\]"):
        learner.add(replace(experience, rewards=experience.rewards[:, :, :2]))
    experience.state[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"experience\.state: expected finite numbers"):
        learner.add(experience)
