import numpy as np
import pytest
import torch

from trainer.stage.best_response import best_responses, unilateral
from trainer.stage.equilibrium import Verification, ani, critic_best_responses, nash_conv, verify

EQUILIBRIA = {2: (1.472927, 0.222927), 3: (1.370163, 0.120163), 4: (1.331461, 0.081461)}
"""Calvano et al. 2020's baseline: price and profit by number of firms."""


def box(high):
    return np.zeros(1), np.array([high])


def uniform(high, firms, count=20, seed=0):
    return np.random.default_rng(seed).uniform(0, high, (firms, count, 1))


@pytest.mark.parametrize("firms", EQUILIBRIA)
def test_logit_bertrand_equilibrium_has_no_regret(games, firms):
    game = games.LogitBertrand(firms)
    price, profit = EQUILIBRIA[firms]
    found = verify(game.payoff, np.full((firms, 1), price), *box(game.high), uniform(game.high, firms), 0.0)
    np.testing.assert_allclose(found.payoffs, profit, atol=1e-6)
    assert 0.0 <= found.nash_conv < 1e-10
    assert found.ani == pytest.approx(1.0, abs=1e-9)
    np.testing.assert_allclose(found.best_response_actions, price, atol=1e-5)


def test_logit_bertrand_best_responses_meet_the_first_order_condition(games):
    game = games.LogitBertrand(3)
    price = np.array([[1.1], [1.9], [2.8]])
    found = best_responses(game.payoff, price, *box(game.high), uniform(game.high, 3))
    for agent in range(3):
        best = game.best_response(price[:, 0], agent)
        deviated = price.copy()
        deviated[agent, 0] = best
        assert found.best_actions[agent, 0] == pytest.approx(best, abs=1e-6)
        assert found.best_payoffs[agent] == pytest.approx(game.payoff(deviated[None], False)[0][0, agent], abs=1e-12)


def test_linear_bertrand_regrets_by_hand(games):
    game = games.LinearBertrand()
    # Best responses are (2 + p/4)/2; the gain of moving there is the squared distance, for payoffs have slope -2.
    price = np.array([[0.0], [2.0]])
    found = verify(game.payoff, price, *box(4.0), uniform(4.0, 2), 1.0)
    np.testing.assert_allclose(found.best_response_actions[:, 0], [1.25, 1.0], atol=1e-6)
    np.testing.assert_allclose(found.regrets, [1.5625, 1.0], atol=1e-10)
    assert found.nash_conv == pytest.approx(2.5625)
    assert found.ratio == pytest.approx(2.5625)
    assert found.ani == pytest.approx(0.0)
    equilibrium = 2.0 / (2.0 - 0.25)
    at = verify(game.payoff, np.full((2, 1), equilibrium), *box(4.0), uniform(4.0, 2), 0.0)
    assert at.nash_conv < 1e-12


def test_best_response_at_a_bound(games):
    game = games.LinearBertrand()
    found = best_responses(game.payoff, np.array([[0.5], [0.5]]), *box(0.8), uniform(0.8, 2))
    np.testing.assert_array_equal(found.best_actions, [[0.8], [0.8]])


def test_other_basins_are_found():
    """Two hills: the start is on the lower one, and its slope leads away from the higher."""

    def payoff(actions, gradient):
        x = actions[..., 0]
        low, high = np.exp(-((x - 0.2) ** 2) / 0.005), 2 * np.exp(-((x - 0.9) ** 2) / 0.005)
        slope = -2 * (x - 0.2) / 0.005 * low - 2 * (x - 0.9) / 0.005 * high
        return low + high, slope[..., None] if gradient else None

    found = best_responses(payoff, np.array([[0.19]]), *box(1.0), uniform(1.0, 1))
    assert found.best_actions[0, 0] == pytest.approx(0.9, abs=1e-6)
    assert found.best_payoffs[0] == pytest.approx(2.0, abs=1e-9)


def test_verification_takes_few_calls_and_counts_rows(games):
    game, calls = games.LogitBertrand(4), []

    def counted(actions, gradient):
        calls.append(len(actions))
        return game.payoff(actions, gradient)

    found = verify(counted, np.full((4, 1), 1.9), *box(game.high), uniform(game.high, 4), 0.0)
    assert found.evaluations == sum(calls)
    assert len(calls) < 60


def test_critic_search_finds_each_agents_peak_at_once():
    peaks = torch.tensor([[0.3, 1.7], [3.0, 1.0]])

    def values(own):
        return -(own - peaks[:, None]).square().sum(dim=2)

    actions = np.array([[1.0, 1.0], [2.0, 1.0]], np.float32)
    starts = np.random.default_rng(0).uniform(0, 2, (2, 20, 2)).astype(np.float32)
    found = critic_best_responses(values, actions, np.zeros(2, np.float32), np.full(2, 2, np.float32), starts)
    np.testing.assert_allclose(found.actions, [[0.3, 1.7], [2.0, 1.0]], atol=5e-3)
    np.testing.assert_allclose(found.gains, [0.49 + 0.49, 0.0], atol=1e-3)


def test_measures_by_hand():
    payoffs, best = np.array([1.0, 3.0, -2.0, 0.0]), np.array([2.0, 3.0, -1.0, 0.0])
    assert nash_conv(payoffs, best) == 2.0
    assert ani(payoffs, best) == pytest.approx((0.5 + 1.0 + 0.0 + 1.0) / 4)
    found = Verification(np.zeros((4, 1)), payoffs, np.zeros((4, 1)), best, 1.6, 9)
    assert found.relative == pytest.approx(2.0 / 6.0)
    assert found.relative_estimated == pytest.approx(1.6 / 6.0)
    assert found.ratio == pytest.approx(1.25)


def test_unilateral_changes_one_agent_a_row():
    joint = unilateral(np.array([[1.0], [2.0]], np.float32), np.array([[7.0], [8.0]], np.float32))
    assert joint[:, :, 0].tolist() == [[7.0, 2.0], [1.0, 8.0]]
