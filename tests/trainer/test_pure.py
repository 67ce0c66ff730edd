"""Pure equilibria: known ones, brute force on random games, and what a verdict says."""

import itertools

import numpy as np
import pytest
from gymnasium import spaces

from bench.processes import Service
from env_server.environments.matrix import Matrix, MatrixConfig
from trainer.pure import NOT_FOUND, pure_equilibria, pure_verdict
from trainer.spec import GameSpec
from trainer.stage.payoff import RemotePayoff

NO_SPACE = spaces.Box(0.0, 1.0, (1,), np.float32)


def spec_of(*counts, start=0, config="{}"):
    agents = tuple(f"player_{i}" for i in range(len(counts)))
    actions = tuple(spaces.Discrete(count, start=start) for count in counts)
    return GameSpec("matrix", config, agents, (NO_SPACE,) * len(counts), actions, NO_SPACE, True, {})


def named(name):
    game = Matrix(MatrixConfig(game=name), 1)
    return game.payoff, spec_of(*game.choices)


def tabular(table):
    """The payoff of tables (N, C_1, ..., C_N)."""

    def payoff(actions, gradient):
        assert not gradient
        joint = actions[:, :, 0].astype(int)
        return np.array([[own[tuple(row)] for own in table] for row in joint]), None

    return payoff


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prisoners_dilemma", [[1, 1]]),
        ("stag_hunt", [[0, 0], [1, 1]]),
        ("chicken", [[0, 1], [1, 0]]),
        ("coordination", [[0, 0], [1, 1]]),
        ("climbing", [[0, 0], [1, 1]]),
        ("penalty", [[0, 0], [1, 1], [2, 2]]),
        ("matching_pennies", []),
        ("rock_paper_scissors", []),
    ],
)
def test_equilibria_of_games_that_everyone_knows(name, expected):
    payoff, spec = named(name)
    found = pure_equilibria(payoff, [np.arange(space.n) for space in spec.action_spaces])
    assert found.tolist() == expected and found.shape[1] == 2


@pytest.mark.parametrize("seed", range(5))
def test_random_games_of_three_agents_by_brute_force(seed):
    counts = (2, 3, 4)
    table = np.random.default_rng(seed).integers(-3, 4, (3, *counts)).astype(float)
    profiles = [*itertools.product(*map(range, counts))]

    def stable(profile):
        def swapped(i, own):
            return (*profile[:i], own, *profile[i + 1 :])

        return all(table[i][profile] >= table[i][swapped(i, own)] for i in range(3) for own in range(counts[i]))

    expected = [profile for profile in profiles if stable(profile)]
    for profile in (profiles[0], *expected):
        verdict = pure_verdict(tabular(table), spec_of(*counts), profile)
        assert [tuple(row) for row in verdict.equilibria.tolist()] == expected
        assert verdict.is_equilibrium == (profile in expected)


def test_a_verdict_names_who_gains_and_by_what():
    payoff, spec = named("prisoners_dilemma")
    verdict = pure_verdict(payoff, spec, [0, 1])
    assert not verdict.is_equilibrium
    assert verdict.regrets.tolist() == [1, 0] and verdict.best_actions.tolist() == [1, 1]
    assert verdict.payoffs.tolist() == [0, 5]
    assert str(verdict) == "no pure equilibrium found: player_0 would gain 1 by choosing 1 instead of 0; the game has 1"
    assert str(pure_verdict(payoff, spec, [1, 1])) == "a pure equilibrium, one of 1"


@pytest.mark.parametrize("name", ["matching_pennies", "rock_paper_scissors"])
def test_mixed_only_games_never_converge(name):
    payoff, spec = named(name)
    for joint in itertools.product(range(spec.action_spaces[0].n), repeat=2):
        verdict = pure_verdict(payoff, spec, joint)
        assert str(verdict).startswith(NOT_FOUND) and str(verdict).endswith("the game has none")


def test_choices_that_do_not_start_at_zero():
    verdict = pure_verdict(
        lambda actions, _: (-np.square(actions[:, :, 0] - 4.0), None), spec_of(3, 3, start=3), [5, 4]
    )
    assert verdict.best_actions.tolist() == [4, 4] and verdict.equilibria.tolist() == [[4, 4]]


def test_large_games_are_judged_without_looking_everywhere():
    spec, asked = spec_of(*(2,) * 30), []

    def payoff(actions, gradient):
        asked.append(len(actions))
        return actions[:, :, 0], None

    verdict = pure_verdict(payoff, spec, [1] * 29 + [0])
    assert sum(asked) == 61 and verdict.equilibria is None
    assert verdict.regrets.tolist() == [0] * 29 + [1]
    assert "whether the game has one is unknown" in str(verdict)
    assert str(pure_verdict(payoff, spec, [1] * 30)) == "a pure equilibrium"


def test_rounding_is_no_gain():
    table = np.array([[[0.1 + 0.2, 0.0], [0.3, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    assert pure_verdict(tabular(table), spec_of(2, 2), [1, 0]).is_equilibrium


def test_bad_input():
    payoff, spec = named("chicken")
    with pytest.raises(ValueError, match="actions: expected one for each of 2 agents"):
        pure_verdict(payoff, spec, [0])
    boxes = GameSpec("x", "{}", spec.agents, spec.observation_spaces, (NO_SPACE,) * 2, NO_SPACE, True, {})
    with pytest.raises(ValueError, match="action space of player_0: expected Discrete"):
        pure_verdict(payoff, boxes, [0, 0])


def test_through_a_server():
    with Service("env_server") as server:
        spec = spec_of(3, 3, config='{"game": "climbing"}')
        payoff = RemotePayoff([server.address], spec, 30.0)
        verdict = pure_verdict(payoff, spec, [1, 2])
        payoff.close()
    assert verdict.equilibria.tolist() == [[0, 0], [1, 1]]
    assert str(verdict) == "no pure equilibrium found: player_1 would gain 1 by choosing 1 instead of 2; the game has 2"
