"""From outputs to actions: bounds, masks, padding and noise, by hand."""

import math

import numpy as np
import pytest
import torch
from gymnasium import spaces

from trainer.algorithms.game import Game
from trainer.algorithms.heads import Heads
from trainer.spec import GameSpec

NOTHING = torch.zeros(2, 1, 0)


def heads(*actions, temperature=1.0):
    return Heads(game(*actions), temperature)


def game(*actions):
    seen, agents = spaces.Box(-1.0, 1.0, (1,), np.float32), tuple(f"agent_{i}" for i in range(len(actions)))
    return Game.of(GameSpec("game", "", agents, (seen,) * len(actions), actions, seen, False, {}))


def box(low, high):
    return spaces.Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)


def boxes():
    """Of two numbers and of one, with bounds of their own."""
    return heads(box([-1.0, 10.0], [3.0, 30.0]), box([5.0], [6.0]))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


OUTPUTS = torch.tensor([[[0.0, math.log(3.0)]], [[-math.log(4.0), 7.0]]])
ACTIONS = torch.tensor([[[1.0, 25.0]], [[5.2, 0.0]]])
"""Halfway, three quarters and a fifth of the way up; padding is 0 whatever comes out."""


def test_boxes_go_from_bound_to_bound():
    for actions in (boxes().greedy(OUTPUTS, NOTHING), boxes().relaxed(OUTPUTS, NOTHING, seeded())):
        torch.testing.assert_close(actions, ACTIONS)


def test_boxes_have_the_slope_of_the_sigmoid():
    outputs = OUTPUTS.clone().requires_grad_()
    boxes().relaxed(outputs, NOTHING, seeded()).sum().backward()
    torch.testing.assert_close(outputs.grad, torch.tensor([[[4 * 0.25, 20 * 0.75 * 0.25]], [[0.2 * 0.8, 0.0]]]))


def test_boxes_explore_by_a_share_of_their_bounds_and_stay_inside():
    draws = np.random.default_rng(0)
    many = torch.zeros(2, 40_000, 2)
    narrow = boxes().explored(many, 0.05, draws).numpy()
    for found, centre, width in ((narrow[0, :, 0], 1, 4), (narrow[0, :, 1], 20, 20), (narrow[1, :, 0], 5.5, 1)):
        assert found.mean() == pytest.approx(centre, abs=5 * 0.05 * width / 200)
        assert found.std() == pytest.approx(0.05 * width, rel=0.03)
    assert not narrow[1, :, 1].any()
    wide = boxes().explored(many, 1.0, draws).numpy()
    outside = math.erfc(0.5 / math.sqrt(2)) / 2  # below the lower bound, and above the upper one
    for found, low, high in ((wide[0, :, 0], -1, 3), (wide[0, :, 1], 10, 30), (wide[1, :, 0], 5, 6)):
        assert (found.min(), found.max()) == (low, high)
        assert (found == low).mean() == pytest.approx(outside, abs=0.015)
        assert (found == high).mean() == pytest.approx(outside, abs=0.015)
    torch.testing.assert_close(boxes().explored(OUTPUTS, 0.0, draws), ACTIONS)


def test_smoothing_is_clipped_noise_and_then_clipped_to_the_bounds():
    """Noise so wide that it is always at its clip, then none that reaches it."""
    centre = torch.tensor([[1.0, 12.0], [5.5, 0.0]]).expand(40_000, 2, 2)
    clipped = boxes().smoothed(centre, 1e9, 0.25, seeded())
    wanted = [[{0.0, 2.0}, {10.0, 17.0}], [{5.25, 5.75}, {0.0}]]  # 12 - 0.25 * 20 is below 10
    for i, j in np.ndindex(2, 2):
        found, counts = np.unique(clipped[:, i, j].numpy(), return_counts=True)
        assert set(found.tolist()) == wanted[i][j]
        assert len(found) == 1 or abs(counts[0] - 20_000) < 500
    free = boxes().smoothed(centre, 0.02, 0.25, seeded())
    assert free[:, 0, 0].std() == pytest.approx(0.02 * 4, rel=0.03)
    assert free[:, 1, 0].std() == pytest.approx(0.02, rel=0.03)
    assert free[:, 0, 0].mean() == pytest.approx(1.0, abs=5 * 0.08 / 200)
    torch.testing.assert_close(boxes().smoothed(ACTIONS[:, 0][None], 0.0, 0.25, seeded()), ACTIONS[:, 0][None])


def test_smoothing_leaves_choices_and_the_generator_alone():
    draws, picked = seeded(), torch.eye(3)[None]
    before = draws.get_state()
    assert torch.equal(heads(*[spaces.Discrete(3)] * 3).smoothed(picked, 1.0, 1.0, draws), picked)
    assert torch.equal(draws.get_state(), before)


def test_choices_are_the_likeliest_that_are_legal_and_real():
    unequal = heads(spaces.Discrete(2), spaces.Discrete(4))
    outputs = torch.tensor([[[1.0, 2.0, 8.0, 9.0]], [[1.0, 2.0, 8.0, 9.0]]])
    assert unequal.greedy(outputs, outputs[..., :0]).argmax(dim=-1).tolist() == [[1], [3]]
    everything = torch.ones(2, 1, 4)
    assert unequal.greedy(outputs, everything).argmax(dim=-1).tolist() == [[1], [3]]
    legal = torch.tensor([[[1.0, 0.0, 1.0, 1.0]], [[1.0, 1.0, 1.0, 0.0]]])
    assert unequal.greedy(outputs, legal).tolist() == [[[1, 0, 0, 0]], [[0, 0, 1, 0]]]


def test_several_choices_at_once_are_made_one_by_one():
    several = heads(spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([2, 3]))
    outputs = torch.tensor([[[1.0, 0.0, 5.0, 7.0, 6.0]], [[0.0, 1.0, 9.0, 7.0, 6.0]]])
    assert several.greedy(outputs, outputs[..., :0]).tolist() == [[[1, 0, 0, 1, 0]], [[0, 1, 1, 0, 0]]]
    legal = torch.tensor([[[0.0, 1, 1, 0, 1]], [[1.0, 1, 0, 1, 0]]])
    assert several.greedy(outputs, legal).tolist() == [[[0, 1, 0, 0, 1]], [[0, 1, 0, 1, 0]]]


@pytest.mark.parametrize("masked", [False, True])
def test_relaxed_choices_are_drawn_from_the_softmax_over_what_is_legal(masked):
    many, odds = 40_000, np.array([[0.2, 0.8, 0.0, 0.0], [0.1, 0.2, 0.3, 0.4]])
    outputs = torch.tensor([[0.2, 0.8, 5.0, 5.0], [0.1, 0.2, 0.3, 0.4]]).log()[:, None].expand(2, many, 4)
    legal = torch.ones(2, many, 4)
    if masked:
        legal[1, :, 3], odds[1] = 0.0, [1 / 6, 1 / 3, 1 / 2, 0.0]
    unequal = heads(spaces.Discrete(2), spaces.Discrete(4), temperature=0.5)
    drawn = unequal.relaxed(outputs, legal, seeded())
    torch.testing.assert_close(drawn.sum(dim=-1), torch.ones(2, many))
    np.testing.assert_allclose(drawn.numpy().mean(axis=1), odds, atol=5 * 0.5 / math.sqrt(many))
    assert not drawn[0, :, 2:].round().any()
    if not masked:
        explored = unequal.explored(outputs, 9.0, np.random.default_rng(0))
        assert set(explored.unique().tolist()) == {0.0, 1.0}
        np.testing.assert_allclose(explored.numpy().mean(axis=1), odds, atol=5 * 0.5 / math.sqrt(many))


def test_what_is_illegal_takes_no_gradient_and_temperature_flattens():
    """The slope of a drawn choice k is that of softmax at x / τ: p_k (1 - p_k) / τ, and -p_j p_k / τ of the others."""
    legal = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 1.0, 1.0]]])
    outputs = torch.tensor([[[0.3, -0.4, 2.0]], [[0.3, -0.4, 2.0]]], requires_grad=True)
    three = heads(spaces.Discrete(3), spaces.Discrete(3), temperature=2.0)
    three.relaxed(outputs, legal, seeded(3))[..., 0].sum().backward()
    gumbel = -torch.log(-torch.log(torch.rand(2, 1, 3, generator=seeded(3))))
    noisy = (outputs.detach() + gumbel).masked_fill(legal == 0, -torch.inf)
    p = (noisy / 2.0).softmax(dim=-1)
    slope = torch.stack([p[..., 0] * (1 - p[..., 0]), -p[..., 0] * p[..., 1], -p[..., 0] * p[..., 2]], dim=-1) / 2.0
    torch.testing.assert_close(outputs.grad, slope)
    assert outputs.grad[0, 0, 2] == 0


BOUNDED, OPEN = box([0.0], [1.0]), box([0.0], [np.inf])


@pytest.mark.parametrize(
    ("actions", "reason"),
    [
        ((BOUNDED, BOUNDED), None),
        ((BOUNDED, box([0.0, 0.0], [1.0, 1.0])), None),
        ((BOUNDED, OPEN), "expected actions with finite bounds, got a Box without"),
        ((spaces.Discrete(2), spaces.Discrete(3)), None),
        ((spaces.Discrete(2), BOUNDED), "expected actions of one kind, got boxes and choices"),
        ((BOUNDED, spaces.Discrete(2)), "expected actions of one kind, got boxes and choices"),
        ((spaces.MultiDiscrete([2, 3]),) * 2, None),
        ((spaces.MultiDiscrete([2, 3]), spaces.MultiDiscrete([3, 2])), "expected one choice each or all alike"),
        ((spaces.MultiDiscrete([2, 3]), spaces.Discrete(5)), "expected one choice each or all alike"),
    ],
)
def test_what_fits_and_what_does_not(actions, reason):
    found = Heads.misfit(game(*actions))
    assert found is None if reason is None else found.startswith(reason)
