"""What deterministic learners do and explore, how they begin, and MATD3's targets by hand."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.support.batches import mixed_experience
from tests.support.states import same
from trainer.algorithms import make_learner
from trainer.algorithms.trajectories import Trajectories
from trainer.spec import GameSpec

FAMILY = pytest.mark.parametrize("algorithm", ["maddpg", "matd3", "iddpg"])
SMALL = {"warmup": 1, "batch_size": 8, "actor_hidden": (), "critic_hidden": (4,)}


def box(low, high, width=1):
    return spaces.Box(np.float32(low), np.float32(high), (width,), np.float32)


def spec_of(*actions, state=2):
    agents = tuple(f"agent_{i}" for i in range(len(actions)))
    return GameSpec("game", "", agents, (box(-9, 9),) * len(actions), actions, box(-9, 9, state), False, {})


def play(learner, steps=1, copies=8, seed=0):
    learner.add(mixed_experience(learner.game, steps, copies, seed))
    return learner.update()


def with_constants(learner, name, *values):
    """Make each agent's network of no hidden layers say a number, whatever it reads."""
    state = learner.state_dict()
    weights, biases = torch.zeros_like(state[name]["0"]), torch.zeros_like(state[name]["1"])
    biases[:, 0, 0] = torch.tensor(values)
    learner.load_state_dict(state | {name: {"0": weights, "1": biases}})


@FAMILY
def test_targets_begin_as_copies_and_networks_unlike_one_another(algorithm):
    state = make_learner(algorithm, SMALL, spec_of(box(0, 1), box(0, 1)), 3).state_dict()
    twins = [name for name in state if name.startswith("critic_") and name != "critic_adam"]
    assert len(twins) == (2 if algorithm == "matd3" else 1)
    for live in ("actor", *twins):
        same(state[live], state[f"target_{live}"])
        assert not torch.equal(state[live]["0"][0], state[live]["0"][1])
    if algorithm == "matd3":
        assert not torch.equal(state["critic_0"]["0"], state["critic_1"]["0"])
    assert state["actor"]["0"].abs().max() <= 0.1 * math.sqrt(6 / 2)  # outputs begin near the middle


@FAMILY
def test_targets_stand_still_where_they_follow_hardly_and_are_the_live_ones_where_at_once(algorithm):
    for rate in (1e-12, 1.0):
        learner = make_learner(algorithm, SMALL | {"averaging": rate}, spec_of(box(0, 1), box(0, 1)), 3)
        begun = learner.state_dict()
        play(learner, 40, 5)
        now = learner.state_dict()
        assert learner.updates == 2
        for live in ("actor", "critic_0"):
            assert not torch.equal(now[live]["0"], begun[live]["0"])
            wanted = begun[live] if rate < 1 else now[live]
            torch.testing.assert_close(now[f"target_{live}"], wanted, rtol=0.0, atol=1e-9)


@FAMILY
def test_actors_and_targets_wait_for_their_turn(algorithm):
    """MATD3's only at every second step; critics never wait."""
    every = 2 if algorithm == "matd3" else 1
    settings = SMALL | {"averaging": 0.5, "steps_per_update": 8}
    learner = make_learner(algorithm, settings, spec_of(box(0, 1), box(0, 1)), 3)
    for number in range(1, 6):
        before = learner.state_dict()
        losses = play(learner, seed=number)
        after = learner.state_dict()
        assert learner.updates == number
        turn = number % every == 0
        assert losses.keys() == ({"critic", "actor"} if turn else {"critic"})
        for name in ("actor", "target_actor", "target_critic_0"):
            assert torch.equal(before[name]["0"], after[name]["0"]) == (not turn), name
        assert not torch.equal(before["critic_0"]["0"], after["critic_0"]["0"])


def one_row(learner, reward, terminated=False, truncated=False, acted=True):
    """Everybody sees 1, does the lowest and earns the same."""
    game, shape = learner.game, (1, 1, learner.game.size)
    learner.add(
        Trajectories(
            observations=np.ones((2, *shape[1:], 1), np.float32),
            state=np.ones((2, 1, game.state_width), np.float32),
            actions=np.broadcast_to(game.low, (*shape, game.action_width)).astype(np.float32),
            legal=None,
            log_probs=np.zeros(shape, np.float32),
            rewards=np.full(shape, reward, np.float32),
            terminated=np.full(shape, terminated),
            truncated=np.full(shape, truncated),
            acted=np.full(shape, acted),
        )
    )
    return learner.update()


LINEAR = {**SMALL, "batch_size": 1, "critic_hidden": (), "steps_per_update": 1, "discount": 0.5}


@pytest.mark.parametrize("values", [(3.0, -4.0), (-4.0, 3.0), (2.0, 2.5)])
@pytest.mark.parametrize("flags", [{}, {"truncated": True}, {"terminated": True}], ids=["goes on", "cut off", "ended"])
def test_the_least_of_the_twins_target_values_counts_for_both(values, flags):
    """Both live critics say 0, so each twin's loss is the square of y = 1 + min / 2; after an end y = 1."""
    learner = make_learner("matd3", LINEAR, spec_of(box(0, 1)), 3)
    for number, value in enumerate(values):
        with_constants(learner, f"critic_{number}", 0.0)
        with_constants(learner, f"target_critic_{number}", value)
    y = 1.0 if "terminated" in flags else 1.0 + 0.5 * min(values)
    assert one_row(learner, 1.0, **flags)["critic"] == pytest.approx(2 * y**2)


def test_rewards_are_scaled_and_values_are_not():
    learner = make_learner("maddpg", LINEAR | {"reward_scale": 3.0}, spec_of(box(0, 1)), 3)
    with_constants(learner, "critic_0", 0.0)
    with_constants(learner, "target_critic_0", 4.0)
    assert one_row(learner, 2.0)["critic"] == pytest.approx((3 * 2 + 0.5 * 4) ** 2)


@FAMILY
def test_who_did_not_act_moves_nothing_but_what_keeps_logits_small(algorithm):
    settings = LINEAR | {"logit_penalty": 0.0, "capacity": 1}
    learner = make_learner(algorithm, settings, spec_of(box(0, 1), box(0, 1)), 3)
    before = learner.state_dict()
    for _ in range(2):
        losses = one_row(learner, 5.0, acted=False)
        assert set(losses.values()) <= {0.0}
    after = learner.state_dict()
    for name in ("actor", "critic_0"):
        same(before[name], after[name])
    for _ in range(2):
        assert one_row(learner, 5.0)["critic"] > 0
    assert not torch.equal(learner.state_dict()["critic_0"]["0"], before["critic_0"]["0"])


@pytest.mark.parametrize(("clip", "expected"), [(0.25, {2.0, 4.0}), (0.05, {2.8, 3.2}), (0.9, {1.0, 5.0})])
def test_noise_on_target_actions_is_clipped_and_so_are_they(clip, expected):
    """The target actor plays 3 of [1, 5]; noise is far wider than its clip, a share of 4. The target critic says the
    action, so it is seen in the loss.
    """
    settings = LINEAR | {"target_noise": 1e9, "target_clip": clip}
    found = set()
    for seed in range(8):
        learner = make_learner("matd3", settings, spec_of(box(1, 5)), seed)
        with_constants(learner, "target_actor", 0.0)
        for number in range(2):
            with_constants(learner, f"critic_{number}", 0.0)
            state = learner.state_dict()
            says = {"0": torch.tensor([[[0.0], [1.0]]]), "1": torch.zeros(1, 1, 1)}
            learner.load_state_dict(state | {f"target_critic_{number}": says})
        loss = one_row(learner, 0.0)["critic"]
        found.add(round(math.sqrt(loss / 2) / 0.5, 4))
    assert found == expected


def acted(learner, copies, draws):
    return learner.act(np.ones((copies, learner.game.size, 1), np.float32), draws)


@FAMILY
def test_boxes_are_explored_by_noise_that_falls_with_experience(algorithm):
    """Halfway between bounds 0 and 10, σ is a share of 10, from 4 % down to 1 %, and then no less."""
    noise = {"noise_initial": 0.04, "noise_final": 0.01, "noise_steps": 30, "warmup": 1000}
    learner = make_learner(algorithm, SMALL | noise, spec_of(box(0, 10), box(-1, 1)), 3)
    with_constants(learner, "actor", 0.0, math.log(3.0))
    for share in (0.04, 0.03, 0.02, 0.01, 0.01):
        assert learner.exploration().noise_scale == pytest.approx(share)
        assert learner.exploration().epsilon == 0.0
        actions, log_probs = acted(learner, 20_000, np.random.default_rng(0))
        assert (actions.shape, actions.dtype) == ((20_000, 2, 1), np.float32)
        np.testing.assert_allclose(actions.mean(axis=(0, 2)), [5.0, 0.5], atol=0.02)
        np.testing.assert_allclose(actions.std(axis=(0, 2)), [10 * share, 2 * share], rtol=0.03)
        assert log_probs.shape == (20_000, 2) and not log_probs.any()
        learner.add(mixed_experience(learner.game, 2, 5))
    greedy, _ = acted(learner, 3, None)
    np.testing.assert_allclose(greedy[..., 0], [[5.0, 0.5]] * 3, rtol=1e-6)


@FAMILY
def test_choices_are_explored_by_the_softmax_without_noise(algorithm):
    learner = make_learner(algorithm, SMALL, spec_of(spaces.Discrete(2), spaces.Discrete(2)), 3)
    assert learner.exploration().noise_scale == learner.exploration().epsilon == 0.0
    with_constants(learner, "actor", math.log(3.0), math.log(0.25))
    explored, log_probs = acted(learner, 20_000, np.random.default_rng(0))
    np.testing.assert_allclose(explored[..., 0].mean(axis=0), [0.75, 0.2], atol=5 * 0.5 / math.sqrt(20_000))
    assert (explored.sum(axis=-1) == 1).all() and not log_probs.any()
    greedy, _ = acted(learner, 3, None)
    assert greedy.tolist() == [[[1, 0], [0, 1]]] * 3


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("state", [False, True])
def test_only_what_is_read_is_kept(state, discrete):
    kind = spaces.Discrete(3) if discrete else box(0, 1)
    learner = make_learner("maddpg", SMALL | {"state": state}, spec_of(kind, kind, state=5), 3)
    play(learner)
    width = 3 if discrete else 1
    columns = 2 * (1 + width + 1 + 1 + 1 + 1) + 2 * 5 * state + 2 * 2 * 3 * discrete
    assert learner.state_dict()["memory"]["rows"].shape == (8, columns)


def test_own_critics_refuse_the_state():
    with pytest.raises(ValueError, match="state: expected false for critics of a single agent's observation, got true"):
        make_learner("iddpg", SMALL | {"state": True}, spec_of(box(0, 1)), 3)
