"""How long a check proposes, judges and refits before it believes its critics: by critics that are told what to say."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from trainer.stage import verify
from trainer.stage.base import Situation
from trainer.stage.verify import check_equilibrium

AGENTS, WIDTH = 2, 2
NOW = np.array([[0.2, 0.2], [0.3, 0.1]], np.float32)
GOAL = np.array([[1.8, 1.7], [1.6, 1.9]])
FAR_AWAY = np.square(NOW - GOAL).sum(axis=1)  # what each agent gains by going to its goal
GAIN = float(FAR_AWAY.sum())
LOW, HIGH = np.zeros(WIDTH, np.float32), np.full(WIDTH, 2.0, np.float32)


class Game:
    """An agent earns ``stake`` now, and the squared distance from its goal is what it lacks; calls are kept."""

    def __init__(self, stake):
        self.stake, self.calls = stake, []

    def __call__(self, actions, gradient):
        self.calls.append(actions)
        away = actions - GOAL
        earned = self.stake + FAR_AWAY - np.square(away).sum(axis=-1)
        return earned, -2.0 * away if gradient else None


class Critics:
    """Know the truth but for a factor, another one every turn; the last one stays."""

    def __init__(self, factors):
        self.factors, self.refits = list(factors), []

    def refit(self, newest, updates, spread, draws):
        self.refits.append((newest, updates, spread))

    @property
    def own_values(self):
        turn = max(0, len(self.refits) - 1)
        factor = self.factors[min(turn, len(self.factors) - 1)]
        goal = torch.from_numpy(GOAL.astype(np.float32))[:, None]
        return lambda own: -factor * (own - goal).square().sum(dim=2)


class Learner:
    """What a check asks of a learner, and what it is told."""

    updates = 7

    def __init__(self, factors=(1.0,), refits=12, adopt_gain=None):
        self.config = SimpleNamespace(check_refits=refits, refit_updates=30, adopt_gain=adopt_gain)
        self.layout = SimpleNamespace(low=LOW, high=HIGH)
        self.critics, self.evaluated, self.refitted, self.adopted = Critics(factors), [], [], []

    def appraiser(self, situation):
        return self.critics

    def add_evaluations(self, situation, actions, payoffs):
        self.evaluated.append((actions, payoffs))

    def refit(self, newest, updates):
        self.refitted.append((newest, updates))

    def adopt(self, actions, wanted):
        self.adopted.append((actions, wanted))


@pytest.fixture(autouse=True)
def situation(monkeypatch):
    monkeypatch.setattr(Situation, "last_of", lambda segment: Situation({}, [], NOW))


NEAR, FAR = 25.0 * GAIN, 2.0 * GAIN  # stakes of each agent, so that the gain is 2 % or 25 % of all


def turns(factors, stake=NEAR, **config):
    learner = Learner(factors, **config)
    check_equilibrium(learner, None, Game(stake), 3)
    return len(learner.critics.refits)


def test_two_calm_turns_in_a_row_settle_it():
    """In the first turn the gain grows from that of the first steps aside, so that is no calm one."""
    assert turns([1.0]) == 3


def test_three_where_much_is_to_be_gained():
    assert turns([1.0], FAR) == 4


def test_much_is_more_than_a_tenth_of_all():
    assert turns([1.0], 0.51 / 0.1 * GAIN) == 3
    assert turns([1.0], 0.49 / 0.1 * GAIN) == 4


@pytest.mark.parametrize("wrong", [1.15, 0.85])
def test_a_turn_that_errs_starts_the_count_anew(wrong):
    assert turns([1.0, 1.0, wrong, 1.0]) == 5
    assert turns([1.0, 1.0, wrong, 1.0, wrong, 1.0]) == 7
    assert turns([1.0, 1.0, 1.0, wrong, 1.0], FAR) == 7


@pytest.mark.parametrize(("factor", "agree"), [(1.09, True), (1.11, False), (0.91, True), (0.89, False)])
def test_a_tenth_is_close_enough(factor, agree):
    assert turns([factor]) == (3 if agree else 12 + 3)


def test_after_the_last_refit_one_calm_turn_is_enough():
    """Turns 0 to 3 are those configured."""
    assert turns([1.5] * 4 + [1.0], refits=4) == 5
    assert turns([1.5] * 5 + [1.0], FAR, refits=4) == 6
    assert turns([1.5], refits=4) == 4 + 3


def test_after_the_last_refit_only_proposals_are_evaluated():
    learner = Learner([1.5], refits=2)
    _, learned = check_equilibrium(learner, None, Game(NEAR), 3)
    rows = [len(actions) for actions, _ in learner.evaluated]
    # The joint action itself; three steps aside; per turn the proposal and seven probes; then proposals alone.
    assert rows == [1, 3 * AGENTS, 8 * AGENTS, 8 * AGENTS, AGENTS, AGENTS, AGENTS]
    assert learned == sum(rows)


def test_critics_are_refitted_on_all_that_was_evaluated_before():
    learner = Learner([1.5], refits=2)
    check_equilibrium(learner, None, Game(NEAR), 3)
    rows = np.cumsum([len(actions) for actions, _ in learner.evaluated])
    assert [newest for newest, _, _ in learner.critics.refits] == rows[1:-1].tolist()
    assert {updates for _, updates, _ in learner.critics.refits} == {30}
    assert learner.refitted == [(rows[-1], 100)]


@pytest.mark.parametrize("factor", [1.0, 0.0])
def test_without_refits_critics_are_asked_once(factor):
    learner = Learner([factor], refits=0)
    found, learned = check_equilibrium(learner, None, Game(NEAR), 3)
    assert [len(actions) for actions, _ in learner.evaluated] == [1, AGENTS]
    assert learned == 1 + AGENTS
    assert not learner.critics.refits and not learner.refitted
    assert found.estimated == pytest.approx(factor * GAIN, rel=1e-3)
    np.testing.assert_allclose(found.regrets, FAR_AWAY, rtol=1e-6)


@pytest.mark.parametrize(("stake", "expected"), [(0.5 / 0.0021 * GAIN, 3), (0.5 / 0.0019 * GAIN, 1)])
def test_gains_below_a_five_hundredth_are_not_worth_a_second_look(stake, expected):
    assert turns([1.0], stake) == expected


def test_nor_is_it_over_while_critics_expect_more():
    """True gains are 0.15 %, and critics say twice and then ten times as much."""
    stake = 0.5 / 0.0015 * GAIN
    assert turns([2.0, 1.0], stake) == 2  # 0.3 %, then 0.15 %
    assert turns([10.0], stake) == 12 + 3


def test_gains_need_not_be_told_apart_below_a_tenth_of_a_hundredth():
    """True gains are 0.25 % of all, and critics may err by 0.1 % of all, which is 40 % of the gains."""
    stake = 0.5 / 0.0025 * GAIN
    assert turns([1.38], stake) == 3
    assert turns([1.42], stake) == 12 + 3


def test_where_nothing_is_earned_any_gain_is_much():
    assert turns([1.0], 0.0) == 4


def test_everything_evaluated_is_one_agents_departure_within_the_bounds():
    game, learner = Game(NEAR), Learner([1.5], refits=2)
    check_equilibrium(learner, None, game, 3)
    for actions, payoffs in learner.evaluated[1:]:
        departed = (actions != NOW).any(axis=2)
        assert departed.sum(axis=1).max() == 1
        assert departed.any(axis=0).all()
        away = np.square(actions - GOAL).sum(axis=-1)
        np.testing.assert_allclose(payoffs, game.stake + FAR_AWAY - away, rtol=1e-6)
    np.testing.assert_array_equal(learner.evaluated[0][0], NOW[None])
    assert all((call >= LOW).all() and (call <= HIGH).all() for call in game.calls)


def test_the_truth_is_searched_from_uniform_starts_and_the_best_deviation():
    game = Game(NEAR)
    found, learned = check_equilibrium(Learner(), None, game, 500)
    looked = next(call for call in game.calls if len(call) == AGENTS * (500 + 2))
    starts = looked.reshape(AGENTS, 502, AGENTS, WIDTH)
    own = starts[np.arange(AGENTS), 2:, np.arange(AGENTS)].reshape(-1)
    # 2000 uniform numbers on [0, 2]: mean 1 and standard deviation 0.577, four standard errors wide.
    assert abs(own.mean() - 1.0) < 4 * 0.577 / np.sqrt(2000)
    assert own.min() < 0.02 and own.max() > 1.98
    best = starts[np.arange(AGENTS), 1, np.arange(AGENTS)]
    np.testing.assert_allclose(best, GOAL, atol=5e-3)
    np.testing.assert_array_equal(found.actions, NOW)
    assert learned < found.evaluations


class Needle(Game):
    """A goal that only critics know: without slopes, and too small to be met by chance."""

    def __call__(self, actions, gradient):
        self.calls.append(actions)
        hit = np.square(actions - GOAL).sum(axis=-1) < 1e-3
        return self.stake + hit * FAR_AWAY, np.zeros(actions.shape) if gradient else None


def test_what_critics_alone_know_is_believed_and_adopted():
    learner = Learner(adopt_gain=0.01)
    found, _ = check_equilibrium(learner, None, Needle(NEAR), 3)
    np.testing.assert_allclose(found.regrets, FAR_AWAY)
    ((actions, wanted),) = learner.adopted
    np.testing.assert_allclose(actions, GOAL, atol=0.02)
    assert wanted.tolist() == [True, True]


def test_critics_are_searched_from_everywhere():
    """A valley lies between the agents and a hill that critics know: their own slope leads away from it."""
    learner = Learner()
    goal = torch.from_numpy(GOAL.astype(np.float32))[:, None]
    near = torch.from_numpy(NOW)[:, None]

    def two_hills(own):
        high, here = (own - goal).square().sum(dim=2), (own - near).square().sum(dim=2)
        return torch.exp(-high / 0.1) + 0.5 * torch.exp(-here / 0.1)

    learner.critics = SimpleNamespace(refit=lambda *_: None, own_values=two_hills)
    found, _ = check_equilibrium(learner, None, Needle(NEAR), 3)
    np.testing.assert_allclose(found.regrets, FAR_AWAY)


@pytest.mark.parametrize(("share", "expected"), [(0.9, [[True, True]]), (1.01, [[False, True]]), (1.1, [])])
def test_who_gains_more_than_the_share_of_its_own_payoff_adopts(share, expected):
    """Gains are 4.81 of a loss of 10 and 4.93 of a profit of 10: both, only the second, or none is enough."""
    stake, least = np.array([-10.0, 10.0]), share * FAR_AWAY.min() / 10.0
    learner = Learner(adopt_gain=least)
    check_equilibrium(learner, None, Game(stake), 3)
    assert [wanted.tolist() for _, wanted in learner.adopted] == expected


def test_nobody_adopts_if_that_is_switched_off_or_nothing_is_gained():
    for gain in (None, 1e6):
        learner = Learner(adopt_gain=gain)
        check_equilibrium(learner, None, Game(NEAR), 3)
        assert not learner.adopted


@pytest.mark.parametrize(("grown", "calm"), [(0.039, True), (0.041, False)])
@pytest.mark.parametrize("unit", [1.0, -250.0])
def test_a_turn_is_calm_if_gains_grew_by_no_more_than_a_twenty_fifth(grown, calm, unit):
    settled = verify._Settled(np.array([3.0, 5.0]) * unit, NOW.copy(), np.array([0.3, 0.7]) * abs(unit))
    settled.estimated = settled.gain
    assert verify._agree(settled, (1.0 - grown) * abs(unit)) == calm


def test_the_limits_of_agreement_belong_to_it():
    settled = verify._Settled(np.array([-60.0, 4.0]), NOW.copy(), np.array([25.0, 75.0]), estimated=110.0)
    assert verify._agree(settled, 96.0)
    settled.estimated = 90.0
    assert verify._agree(settled, 96.0)
    assert settled.total == 64.0 and settled.gain == 100.0


def test_spread_is_that_of_all_gains_and_of_staying():
    settled = verify._Settled(np.array([1.0, 2.0]), NOW.copy(), np.zeros(2))
    settled.take_in(NOW + 1, np.array([2.0, 0.0]))
    settled.take_in(NOW + 2, np.array([4.0, 0.0]))
    # Of 0, 2 and 4 about their mean 2; the other never gained: a thousandth of the mean payoff.
    np.testing.assert_allclose(settled.spread, [np.sqrt(8.0 / 3.0), 1e-3 * 1.5])
    assert settled.gains.tolist() == [4.0, 0.0] and settled.learned == 5
    np.testing.assert_array_equal(settled.actions, [NOW[0] + 2, NOW[1]])


def test_a_game_of_nothing_has_a_spread_to_divide_by():
    settled = verify._Settled(np.zeros(2), NOW.copy(), np.zeros(2))
    assert (settled.spread > 0.0).all() and (1.0 / settled.spread.astype(np.float32) < np.inf).all()


def test_as_good_is_not_better():
    settled = verify._Settled(np.ones(2), NOW.copy(), np.zeros(2))
    settled.take_in(NOW + 1, np.array([0.0, -1.0]))
    np.testing.assert_array_equal(settled.actions, NOW)
