"""Where the search for best responses starts, what it asks for, and that payoffs' scales play no part."""

import numpy as np
import pytest

from trainer.stage.best_response import best_responses, unilateral

WIDTH = 0.02


def hills(*tops):
    """One agent on a line: a sum of narrow hills, (place, height) each; between them it is flat."""

    def payoff(actions, gradient):
        away = actions[..., 0, None] - np.array([place for place, _ in tops])
        parts = np.array([height for _, height in tops]) * np.exp(-np.square(away / WIDTH) / 2.0)
        slope = (-away / WIDTH**2 * parts).sum(axis=-1)
        return parts.sum(axis=-1), slope[..., None] if gradient else None

    return payoff


def search(payoff, current, *candidates):
    actions = np.array([[current]])
    return best_responses(payoff, actions, np.zeros(1), np.ones(1), np.array(candidates).reshape(1, -1, 1))


PLACES = [0.1, 0.25, 0.4, 0.55, 0.7, 0.85]


@pytest.mark.parametrize("place", range(4))
def test_the_current_action_and_the_three_best_candidates_climb(place):
    """Every candidate stands on a hill of its own. Only whose foot is at ``place`` leads up to 100."""
    beside = [0.2, 1.0, 1.2, 1.4]  # how far from its top, in widths: the farther, the lower
    tops = [(at, 100.0 if number == place else 1.0) for number, at in enumerate(PLACES[:4])]
    # The high hill's foot is as low as it would be on a low hill: 100 exp(-w²/2) = exp(-v²/2).
    away = [np.sqrt(w**2 + 2 * np.log(100.0)) if number == place else w for number, w in enumerate(beside)]
    at = [where + WIDTH * w for (where, _), w in zip(tops, away, strict=True)]
    found = search(hills(*tops, (0.85, 1.0)), at[3], at[0], at[1], at[2], 0.85 + 3.5 * WIDTH, 0.85 - 3.5 * WIDTH)
    assert found.best_actions[0, 0] == pytest.approx(PLACES[place], abs=1e-3)
    assert found.best_payoffs[0] == pytest.approx(100.0, rel=1e-6)


def test_the_best_candidates_are_taken_wherever_they_stand():
    """Five feet of a low hill before and after the one that leads to the high one."""
    feet = [0.1 + WIDTH * w for w in (2.5, 2.6, 2.7, 2.8, 2.9)]
    payoff = hills((0.1, 1.0), (0.9, 50.0))
    for candidates in ([*feet, 0.9 - WIDTH], [0.9 - WIDTH, *feet], [*feet[:2], 0.9 - WIDTH, *feet[2:]]):
        assert search(payoff, 0.5, *candidates).best_actions[0, 0] == pytest.approx(0.9, abs=1e-6)


@pytest.mark.parametrize("candidates", [0, 1, 2, 3, 9])
def test_few_calls_of_many_rows(candidates):
    """One call looks at all candidates, then four starts an agent climb together, and what they reached is judged."""
    goal, asked = np.array([[0.3, 0.8], [0.6, 0.1]]), []

    def payoff(actions, gradient):
        asked.append((len(actions), gradient))
        away = actions - goal
        return -np.square(away).sum(axis=-1), -2.0 * away if gradient else None

    drawn = np.random.default_rng(0).random((2, candidates, 2))
    found = best_responses(payoff, np.full((2, 2), 0.5), np.zeros(2), np.ones(2), drawn)
    climbing = 2 * min(4, 1 + candidates)
    assert asked[0] == (2 * (1 + candidates), False)
    assert asked[-1] == (climbing, False)
    assert set(asked[1:-1]) == {(climbing, True)}
    assert found.evaluations == sum(rows for rows, _ in asked)
    np.testing.assert_allclose(found.best_actions, goal, atol=1e-6)
    np.testing.assert_allclose(found.payoffs, [-0.13, -0.17], atol=1e-12)


def test_a_payoff_without_slopes_is_climbed_no_higher_than_its_best_candidate():
    """Slopes that lead downhill: what was tried stays the best response."""
    peak = 0.62

    def payoff(actions, gradient):
        away = actions[..., 0] - peak
        return -np.square(away), (2.0 * away)[..., None] if gradient else None

    found = search(payoff, 0.2, 0.9, 0.6, 0.35)
    assert found.best_actions[0, 0] == 0.6
    assert found.best_payoffs[0] == pytest.approx(-(0.02**2))
    assert found.payoffs[0] == pytest.approx(-(0.42**2))


def test_agents_are_weighed_alike_whatever_their_units():
    """Payoffs 1e9 times as large, and one agent that earns nothing where it is."""
    goal = np.array([0.31, 0.77, 0.52])
    units = np.array([1e9, 1.0, 1e-3])
    now = np.array([0.9, 0.1, 0.2])
    level = np.square(now - goal)  # so that all earn 0 now

    def payoff(actions, gradient):
        away = actions[..., 0] - goal
        return units * (level - np.square(away)), (-2.0 * units * away)[..., None] if gradient else None

    drawn = np.random.default_rng(1).random((3, 5, 1))
    found = best_responses(payoff, now[:, None], np.zeros(1), np.ones(1), drawn)
    np.testing.assert_allclose(found.best_actions[:, 0], goal, atol=1e-6)
    np.testing.assert_allclose(found.best_payoffs, units * level, rtol=1e-9)


def test_a_payoff_of_nothing_at_all_is_no_reason_to_move():
    def payoff(actions, gradient):
        return np.zeros(actions.shape[:2]), np.zeros(actions.shape) if gradient else None

    found = best_responses(payoff, np.full((2, 1), 0.4), np.zeros(1), np.ones(1), np.full((2, 3, 1), 0.7))
    assert found.best_payoffs.tolist() == [0.0, 0.0]
    assert found.best_actions[:, 0].tolist() == [0.4, 0.4]


def test_each_agent_departs_in_its_own_row():
    now, own = np.array([[1.0], [2.0], [3.0]], np.float32), np.array([[7.0], [8.0], [9.0]], np.float32)
    assert unilateral(now, own)[..., 0].tolist() == [[7, 2, 3], [1, 8, 3], [1, 2, 9]]
    assert now[:, 0].tolist() == [1, 2, 3]
