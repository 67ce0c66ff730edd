"""How MAPPO and IPPO step: how far, in which parts, with which gradient; and how they act."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import stats

from tests.trainer.algorithms.test_mappo import SEEN, learner_of, recorded, spec
from tests.trainer.algorithms.test_on_policy import BOX, ONE_STEP, PAIR, V, steps, told
from trainer.algorithms.trajectories import Trajectories


def moved(name, before, after):
    return max((after[name][key] - values).abs().max().item() for key, values in before[name].items())


@pytest.mark.parametrize(("spent", "share"), [(0, 1.0), (30, 0.7), (99, 0.2), (500, 0.2)])
def test_the_first_step_is_as_long_as_what_remains_of_its_rate(spent, share):
    """Adam's first step is its rate, in every number that has a gradient."""
    learner = learner_of("mappo", PAIR, actor_rate=0.01, critic_rate=0.03, rate_steps=100, rate_floor=0.2, **ONE_STEP)
    state = learner.state_dict()
    state["counts"]["experience"] = spent
    learner.load_state_dict(state)
    learner.add(recorded(PAIR))
    learner.update()
    assert moved("actor", state, learner.state_dict()) == pytest.approx(0.01 * share, rel=1e-3)
    assert moved("critic", state, learner.state_dict()) == pytest.approx(0.03 * share, rel=1e-3)


@pytest.mark.parametrize(("epochs", "minibatches", "updates"), [(1, 1, 1), (3, 4, 12), (2, 40, 80), (1, 64, 40)])
def test_every_row_is_learned_from_once_an_epoch(epochs, minibatches, updates, monkeypatch):
    """Forty rows; where parts are more than rows, each is one row."""
    learner = learner_of("ippo", PAIR, epochs=epochs, minibatches=minibatches)
    taken = []
    learn = learner._learn
    monkeypatch.setattr(learner, "_learn", lambda rows, pace: taken.append(rows["seen"][0, :, 0]) or learn(rows, pace))
    experience = recorded(PAIR)
    learner.add(experience)
    learner.update()
    assert learner.updates == len(taken) == updates
    numbers = torch.cat(taken).reshape(epochs, -1)
    assert torch.equal(
        numbers.sort(dim=1).values,
        torch.from_numpy(np.sort(experience.observations[:-1, :, 0, 0].ravel())).expand(epochs, -1),
    )
    assert epochs == 1 or not torch.equal(numbers[0], numbers[1])


def test_nothing_to_gain_leaves_only_the_entropy_to_rise():
    """Actors that prefer the first choice, and rows without advantages."""
    odds = []
    for weight in (0.0, 0.1):
        learner = told(learner_of("ippo", PAIR, entropy=weight, actor_rate=0.1, **ONE_STEP), outputs=[1.0, 0.0])
        learner.add(steps(learner, [[V, V]], terminated=[0]))
        learner.update()
        bias = learner.actors()[0].layers[-1][1]
        odds.append(float(bias[0] - bias[1]))
    assert odds[0] == pytest.approx(1.0) and odds[1] == pytest.approx(1.0 - 2 * 0.1, rel=1e-3)


def gradients(learner, name):
    """What is left in Adam's first moment after one step: a tenth of the gradient."""
    return {key: 10 * value for key, value in learner.state_dict()[name].items() if key.endswith("exp_avg")}


@pytest.mark.parametrize("optimiser", ["actor_adam", "critic_adam"])
def test_who_shares_a_network_learns_as_one_would(optimiser):
    """Two agents that lived through the same pull their network no harder than one."""
    alone = recorded(spec(spaces.Discrete(2)))
    twice = {}
    for field, values in vars(alone).items():
        per_agent = field not in ("state", "legal", "version")
        twice[field] = np.repeat(values, 2, axis=2) if per_agent else values
    found = []
    for game, experience in ((spec(spaces.Discrete(2)), alone), (PAIR, Trajectories(**twice))):
        learner = learner_of("ippo", game, max_norm=1e9, **ONE_STEP)
        learner.add(experience)
        learner.update()
        found.append(gradients(learner, optimiser))
    assert found[0].keys() == found[1].keys() and len(found[0]) == 4
    for key, value in found[0].items():
        torch.testing.assert_close(found[1][key], value, rtol=1e-3, atol=1e-6)
    assert max(value.abs().max() for value in found[0].values()) > 1e-3


@pytest.mark.parametrize("optimiser", ["actor_adam", "critic_adam"])
def test_gradients_are_cut_to_their_longest(optimiser):
    learner = learner_of("ippo", PAIR, max_norm=1e-3, **ONE_STEP)
    learner.add(recorded(PAIR))
    learner.update()
    length = np.sqrt(sum(value.square().sum().item() for value in gradients(learner, optimiser).values()))
    assert length == pytest.approx(1e-3, rel=1e-3)


def test_acting_is_drawn_or_greedy():
    learner = told(learner_of("ippo", spec(BOX, BOX), initial_std=0.25), outputs=0.0)
    seen = np.zeros((4000, 2, 2), np.float32)
    greedy, sure = learner.act(seen, None)
    assert (greedy == 0.5).all() and not sure.any() and sure.shape == (4000, 2)
    drawn, log_probs = learner.act(seen, np.random.default_rng(0))
    inside = (drawn[..., 0] > 0.0) & (drawn[..., 0] < 1.0)
    assert abs(drawn.mean() - 0.5) < 4 * 0.25 / np.sqrt(8000) and 0.02 < 1 - inside.mean() < 0.08  # 4.6 % lie outside
    np.testing.assert_allclose(log_probs[inside], stats.norm(0.5, 0.25).logpdf(drawn[inside, 0]), atol=1e-4)
    assert learner.exploration().noise_scale == learner.exploration().epsilon == 0.0


@pytest.mark.parametrize("share", [False, True])
def test_exported_policies_have_the_spread_of_their_own_network(share):
    """In units of the action: the box of the first two is 1 wide, that of the third 4."""
    game = spec(BOX, BOX, spaces.Box(-1.0, 3.0, (1,), np.float32))
    learner = learner_of("mappo", game, share=share)
    state = learner.state_dict()
    rows = [0.1, 0.3] if share else [0.1, 0.2, 0.3]
    state["spread"]["0"] = torch.tensor(rows).log().reshape(-1, 1, 1)
    learner.load_state_dict(state)
    expected = [0.1, 0.1, 4 * 0.3] if share else [0.1, 0.2, 4 * 0.3]
    assert [float(np.exp(actor.log_std[0])) for actor in learner.actors()] == pytest.approx(expected, rel=1e-5)


def test_the_newest_policies_are_those_of_this_many_updates():
    """Dropped experience is counted in joint decisions, and what came before it is still learned from."""
    learner = learner_of("ippo", PAIR, **ONE_STEP)
    assert learner.on_policy
    learner.add(recorded(PAIR))
    learner.update()
    for version, stale in (((0, 0), 40), ((3, 0), 80), ((0, 1), 80), ((1, 2), 80)):
        learner.add(recorded(PAIR, version=version))
        assert learner.stale == stale
    learner.update()
    assert learner.experience == 40 + 2 * 40


def test_several_parts_are_learned_from_together():
    """Two halves of a collection are as good as the whole: statistics and advantages are of all rows at once."""
    found, whole = [], recorded(PAIR, copies=8)
    halves = []
    for part in (slice(0, 4), slice(4, 8)):
        cut = {f: v if v is None or f == "version" else v[:, part] for f, v in vars(whole).items()}
        halves.append(Trajectories(**cut))
    for parts in ([whole], halves):
        learner = learner_of("mappo", PAIR, **ONE_STEP)
        for part in parts:
            learner.add(part)
        losses = learner.update()
        found.append((losses, learner.state_dict()["norm"]["sums"]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4, abs=1e-6)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-5, atol=1e-7)


def test_a_seat_sees_its_own_observation_only():
    """SEEN is as wide for both; what the second sees plays no part in the first one's values or choices."""
    assert SEEN.shape == (2,)
    first = []
    for scale in (1.0, -3.0):
        learner, experience = learner_of("ippo", PAIR), recorded(PAIR)
        experience.observations[:, :, 1] *= scale
        learner.add(experience)
        rows = learner.state_dict()["pending"]["0"]
        first.append([rows[key] for key in ("values", "old", "advantages")])
    for one, other in zip(*first, strict=True):
        assert torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
