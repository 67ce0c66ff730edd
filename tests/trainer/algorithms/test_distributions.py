import numpy as np
import pytest
import torch
from gymnasium import spaces
from scipy import special, stats

from agora.agents.policy import Batch, Categorical, Decision, Draws, Normal
from agora.agents.sampling import Explore, Sampler
from trainer.algorithms.distributions import Choices, Gaussians, distribution, misfit
from trainer.algorithms.game import Game
from trainer.spec import GameSpec

SEEN = spaces.Box(-1.0, 1.0, (2,), np.float32)


def game(*actions):
    agents = tuple(f"agent_{i}" for i in range(len(actions)))
    return Game.of(GameSpec("test", "{}", agents, (SEEN,) * len(actions), actions, SEEN, False, {}))


def outputs(of, rows, seed=0):
    return torch.randn(of.size, rows, of.action_width, generator=torch.Generator().manual_seed(seed))


def sampled_by_a_service(leaf, head, rows):
    batch = Batch([np.zeros((rows, 2), np.float32)], [None], np.zeros((rows, 0), np.uint8), draws_of(rows))
    (action,), log_prob = Sampler([leaf]).act(Decision([head]), batch, Explore(0.0, 1.0))
    return action, log_prob


def draws_of(rows):
    return Draws(seed=3, block=0, agent=0, step=0, copies=np.arange(rows, dtype=np.uint32))


def test_choices_have_the_log_probabilities_of_the_service():
    of = game(spaces.MultiDiscrete([3, 4]))
    logits = outputs(of, 200)
    action, log_prob = sampled_by_a_service(of.action[0], Categorical(logits[0].numpy()), 200)
    one_hot = torch.from_numpy(np.concatenate([np.eye(3)[action[:, 0]], np.eye(4)[action[:, 1]]], axis=1)).float()
    got, entropy = distribution(of, [0], 0.5).log_prob(logits, one_hot[None], None)
    np.testing.assert_allclose(got[0], log_prob, atol=1e-5)
    parts = [special.softmax(logits[0, :, part].double().numpy(), axis=1) for part in (slice(3), slice(3, 7))]
    np.testing.assert_allclose(entropy[0], sum(stats.entropy(odds, axis=1) for odds in parts), rtol=1e-5)


def test_a_gaussian_within_bounds_has_the_density_of_the_service_and_mass_on_them():
    of = game(spaces.Box(np.array([0.0, -2.0], np.float32), np.array([1.0, 2.0], np.float32)))
    raw = outputs(of, 300)
    ours = distribution(of, [0], 0.5)
    mean = of.low + (of.high - of.low) * special.expit(raw[0].numpy())
    log_std = ours.log_std(0)
    np.testing.assert_allclose(np.exp(log_std), [0.5, 2.0], rtol=1e-6)
    head = Normal(mean.astype(np.float32), np.broadcast_to(log_std, mean.shape).copy())
    action, log_prob = sampled_by_a_service(of.action[0], head, 300)
    got, _ = ours.log_prob(raw, torch.from_numpy(action)[None], None)
    inside = ((action > of.low) & (action < of.high)).all(axis=1)
    assert 50 < inside.sum() < 250
    np.testing.assert_allclose(got[0, inside].detach(), log_prob[inside], atol=1e-4)
    spread = stats.norm(mean, np.exp(log_std))
    each = np.select([action <= of.low, action >= of.high], [spread.logcdf(of.low), spread.logsf(of.high)])
    each = np.where((action > of.low) & (action < of.high), spread.logpdf(action), each)
    np.testing.assert_allclose(got[0].detach(), each.sum(axis=1), atol=1e-3)


@pytest.mark.parametrize(
    "actions",
    [
        (spaces.Discrete(4), spaces.Discrete(4)),
        (spaces.Discrete(2), spaces.Discrete(5)),
        (spaces.Discrete(1), spaces.Discrete(1)),
        (spaces.MultiDiscrete([3, 2]), spaces.Discrete(4), spaces.MultiBinary(3)),
    ],
)
def test_draws_follow_the_probabilities_whatever_the_agents_choices(actions):
    of = game(*actions)
    ours = distribution(of, list(range(of.size)), 0.5)
    logits = outputs(of, 1, seed=1).expand(-1, 20_000, -1)
    drawn = ours.sample(logits, np.random.default_rng(0)).numpy()
    best = ours.greedy(logits).numpy()
    for i, choices in enumerate(of.choices):
        start = 0
        for count in choices:
            odds = special.softmax(logits[i, 0, start : start + count].double().numpy())
            np.testing.assert_allclose(drawn[i, :, start : start + count].mean(axis=0), odds, atol=0.015)
            assert best[i, 0, start : start + count].argmax() == odds.argmax()
            start += count
        assert not drawn[i, :, start:].any()
        np.testing.assert_array_equal(drawn[i].sum(axis=1), len(choices))
    _, entropy = ours.log_prob(logits[:, :1], torch.from_numpy(drawn[:, :1]), None)
    parts = [np.split(logits[i, 0].double().numpy(), np.cumsum(choices)) for i, choices in enumerate(of.choices)]
    expected = [sum(stats.entropy(special.softmax(part)) for part in own[:-1]) for own in parts]
    np.testing.assert_allclose(entropy[:, 0], expected, rtol=1e-5)


def test_illegal_choices_have_no_probability_and_take_no_gradient():
    of = game(spaces.Discrete(3), spaces.Discrete(2))
    logits = outputs(of, 1).requires_grad_()
    legal = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]]])
    odds = Choices(of).log_probs(logits, legal).exp()
    assert odds[0, 0, 0, 1] == 0.0
    assert odds[1, 0, 0].tolist() == [0.0, 1.0, 0.0]
    log_prob, entropy = Choices(of).log_prob(logits, torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]), legal)
    assert log_prob[1].item() == 0.0
    (log_prob.sum() + entropy.sum()).backward()
    assert logits.grad[0, 0, 1] == 0.0
    assert not logits.grad[1].any()
    assert logits.grad[0, 0, 0] != 0.0


def test_illegal_choices_where_all_agents_have_as_many():
    of = game(spaces.Discrete(3), spaces.Discrete(3))
    logits = outputs(of, 4)
    legal = torch.tensor([[[1.0, 0.0, 1.0]] * 4, [[0.0, 0.0, 1.0]] * 4])
    odds = Choices(of).log_probs(logits, legal).exp()[:, :, 0]
    expected = special.softmax(np.where(legal, logits.double(), -np.inf), axis=-1)
    np.testing.assert_allclose(odds, expected, atol=1e-6)
    free = special.softmax(logits.double().numpy(), axis=-1)
    np.testing.assert_allclose(Choices(of).log_probs(logits, None).exp()[:, :, 0], free, atol=1e-6)


def test_boxes_of_several_widths_and_without_room():
    narrow = spaces.Box(np.array([0.0, 0.5], np.float32), np.array([1.0, 0.5], np.float32))
    of = game(spaces.Box(0.0, 1.0, (3,), np.float32), narrow)
    ours = Gaussians(of, [0, 1], 0.2)
    drawn = ours.sample(outputs(of, 1000), np.random.default_rng(0))
    assert (drawn[1, :, 1] == 0.5).all()
    assert not drawn[1, :, 2].any()
    log_prob, entropy = ours.log_prob(outputs(of, 1000), drawn, None)
    assert ours.parameters[0].shape == (2, 1, 3)  # a row for each network
    mean = special.expit(outputs(of, 1000)[1, :, 0].numpy())
    open_ = (drawn[1, :, 0] > 0.0) & (drawn[1, :, 0] < 1.0)
    expected = stats.norm(mean, 0.2).logpdf(drawn[1, :, 0].detach())  # fixed numbers and padding add nothing
    np.testing.assert_allclose(log_prob[1, open_].detach(), expected[open_], atol=1e-4)
    assert torch.isfinite(log_prob).all()
    each = stats.norm(scale=0.2).entropy()
    np.testing.assert_allclose(entropy[:, 0].detach(), [3 * each, each], rtol=1e-5)
    assert [len(ours.log_std(i)) for i in range(2)] == [3, 2]


def test_a_box_without_bounds_is_a_plain_gaussian():
    of = game(spaces.Box(-np.inf, np.inf, (2,), np.float32))
    raw = outputs(of, 50)
    ours = Gaussians(of, [0], 2.0)
    assert torch.equal(ours.greedy(raw), raw)
    drawn = ours.sample(raw, np.random.default_rng(0))
    expected = stats.norm(raw.numpy(), 2.0).logpdf(drawn.detach().numpy()).sum(axis=2)
    np.testing.assert_allclose(ours.log_prob(raw, drawn, None)[0].detach(), expected, rtol=1e-4)


def test_what_fits_no_distribution():
    assert "boxes and choices" in misfit(game(SEEN, spaces.Discrete(2)))
    assert "whole ones from agent_0" in misfit(game(spaces.Box(0, 3, (2,), np.int64)))
    assert misfit(game(SEEN, SEEN)) is None
    assert misfit(game(spaces.MultiBinary(2), spaces.Discrete(2))) is None
