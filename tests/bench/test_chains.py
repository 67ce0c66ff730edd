"""Games of several decisions: what is right in them, and that learners which do not look ahead are found out."""

import itertools

import numpy as np
import pytest
import torch

from bench.units import chains
from bench.units.saving import SAVE, SPEND, Saving, SavingConfig

PATIENT, HASTY = (SAVE, SAVE, SPEND), (SPEND, SPEND, SPEND)
LATE, SOON = chains.CHAINS


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so small products only wait for each other
    yield
    torch.set_num_threads(threads)


def played(courses):
    """Rewards (T, N) of one copy in the game itself."""
    game = Saving(SavingConfig(pays=chains.PAYS, costs=chains.COSTS), 1)
    game.reset(0, np.zeros(1, np.uint32))
    return np.array([game.step([{"": np.array([c[at]])} for c in courses]).rewards[0] for at in range(3)])


@pytest.mark.parametrize("chain", chains.CHAINS)
@pytest.mark.parametrize("algorithm", ["ippo", "vdn"])
def test_no_joint_course_of_the_game_itself_pays_more(algorithm, chain):
    """Selfish learners: no agent gains alone. Teams: no joint course has a higher sum."""
    best, weights = chain.best(algorithm), chain.discount ** np.arange(3)
    earned = weights @ played(best)
    for other in itertools.product(chains.COURSES, repeat=2):
        found = weights @ played(other)
        if algorithm == "vdn":
            assert found.sum() < earned.sum() or other == best
        for agent in range(2):
            if other[1 - agent] == best[1 - agent] and other != best:
                assert found[agent] < earned[agent] or algorithm == "vdn"


def test_what_is_right_turns_with_the_discount_for_one_agent_alone():
    for algorithm in ("ippo", "vdn"):
        assert LATE.best(algorithm) == (PATIENT, HASTY) and SOON.best(algorithm) == (HASTY, HASTY)


def test_costs_fall_on_the_others():
    assert played((HASTY, PATIENT)).tolist() == [[2.0, -0.5], [2.0, -0.5], [1.5, 15.5]]


@pytest.mark.parametrize("algorithm", ["idqn", "vdn"])
def test_a_learner_that_looks_ahead_waits(algorithm):
    assert chains.followed(algorithm, LATE, [0]) == [1.0]


@pytest.mark.parametrize("changes", [{"discount": 0.0}, {"averaging": 1e-9}])
def test_a_learner_without_a_discount_or_with_targets_that_stand_still_does_not(changes):
    assert chains.courses("idqn", LATE, 0, changes)[0] != PATIENT
