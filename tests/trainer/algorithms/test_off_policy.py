"""When learners from replay learn, how often, from what, and what they count."""

import dataclasses

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.support.batches import mixed_experience
from tests.support.states import same
from trainer.algorithms.base import LearnerConfig
from trainer.algorithms.game import Game
from trainer.algorithms.memory import Memory
from trainer.algorithms.off_policy import OffPolicyConfig, OffPolicyLearner
from trainer.networks import Networks
from trainer.spec import GameSpec


class Scripted(OffPolicyLearner):
    """Learns nothing: each step it says what it was told to, and keeps what it was given."""

    def __init__(self, says=(), **config):
        seen = spaces.Box(-9.0, 9.0, (2,), np.float32)
        game = Game.of(GameSpec("game", "", ("a", "b"), (seen,) * 2, (spaces.Discrete(3),) * 2, seen, False, {}))
        super().__init__(OffPolicyConfig(**config), game, seed=5)
        self.says, self.given, self.numbers = list(says), [], []
        self.nets = Networks(1, (2, 2), "relu", torch.Generator().manual_seed(len(says)))

    def _remember(self, game, capacity):
        return Memory(game, capacity)

    def _learn(self, batch):
        self.given.append(batch)
        self.numbers.append(self.updates)
        said = self.says.pop(0) if self.says else {"loss": 1.0}
        return {name: torch.tensor(value) for name, value in said.items()}

    def _parts(self):
        return {"nets": self.nets}

    def play(self, steps, copies=1, seed=0, version=(0, 0)):
        self.add(dataclasses.replace(mixed_experience(self.game, steps, copies, seed), version=version))


def test_updates_are_owed_by_steps_and_fractions_are_kept():
    learner, counts = Scripted(warmup=1, steps_per_update=10.0), []
    for copies in (2, 3, 1, 2, 4, 13):  # 8, 20, 24, 32, 48 and 100 steps in all
        learner.play(4, copies)
        learner.update()
        counts.append(learner.updates)
    assert counts == [0, 2, 2, 3, 4, 10]
    assert learner.experience == 100 and learner.numbers == list(range(1, 11))
    assert learner.update() == {} and learner.updates == 10


@pytest.mark.parametrize(("warmup", "owed"), [(8, 4), (9, 2), (12, 2), (16, 2), (17, 0)])
def test_what_warms_up_owes_nothing_and_what_fills_it_does(warmup, owed):
    learner = Scripted(warmup=warmup, steps_per_update=4.0)
    for _ in range(2):
        learner.play(8)
        learner.update()
    assert learner.updates == owed


def test_each_update_draws_a_batch_of_its_own():
    learner = Scripted(warmup=1, steps_per_update=10.0, batch_size=7)
    learner.play(6, 5)
    learner.update()
    assert [len(batch.rewards) for batch in learner.given] == [7, 7, 7]
    assert not torch.equal(learner.given[0].rewards, learner.given[1].rewards)
    twin = Scripted(warmup=1, steps_per_update=10.0, batch_size=7)
    twin.play(6, 5)
    twin.update()
    assert torch.equal(learner.given[2].rewards, twin.given[2].rewards)


def test_losses_are_means_over_the_updates_that_had_them():
    says = [{"critic": 1.0}, {"critic": 2.0, "actor": -5.0}, {"critic": 6.0}, {"critic": 3.0, "actor": -8.0}]
    learner = Scripted(says, warmup=1, steps_per_update=5.0)
    learner.play(5, 3)
    assert learner.update() == {"critic": 3.0, "actor": -5.0}
    learner.play(5)
    assert learner.update() == {"critic": 3.0, "actor": -8.0}


def test_only_the_newest_that_fit_are_learned_from():
    learner = Scripted(warmup=1, capacity=6, batch_size=200)
    assert len(learner._memory) == 0
    learner.play(5, 4)
    learner.play(20, 5)
    learner.update()
    newest = mixed_experience(learner.game, 20, 5).rewards.reshape(-1, 2)[-6:]
    assert set(learner.given[0].rewards[:, 0].tolist()) == set(newest[:, 0].tolist())


def test_what_is_older_than_wanted_is_counted_and_left_out():
    learner = Scripted(warmup=1, steps_per_update=1.0, max_staleness=2, batch_size=100)
    learner.play(5)
    learner.update()
    assert learner.updates == 5
    learner.play(2, 3, seed=1, version=(4, 2))  # three updates behind, whatever the epoch
    assert (learner.stale, learner.experience) == (6, 5)
    assert learner.update() == {}
    learner.play(1, 3, seed=2, version=(0, 3))
    assert (learner.stale, learner.experience) == (6, 8)
    learner.play(2, 2, seed=3, version=(0, 2))
    assert (learner.stale, learner.experience) == (10, 8)
    learner.update()
    assert learner.updates == 8
    fresh = np.concatenate(
        [mixed_experience(learner.game, *made).rewards[..., 0].ravel() for made in ((5, 1), (1, 3, 2))]
    )
    assert set(learner.given[-1].rewards[:, 0].tolist()) == set(fresh.tolist())


def test_without_a_limit_nothing_is_too_old():
    learner = Scripted(warmup=1, steps_per_update=1.0)
    learner.play(50)
    learner.update()
    learner.play(3)
    assert (learner.stale, learner.experience) == (0, 53)


def test_schedules_go_evenly_and_then_stay():
    learner, found = Scripted(), []
    for _ in range(5):
        found.append(learner._scheduled(2.0, -1.0, 12))
        learner.play(4)
    assert found == pytest.approx([2.0, 1.0, 0.0, -1.0, -1.0])


def test_step_sizes_fall_evenly_to_their_floor():
    config = LearnerConfig(rate_steps=100, rate_floor=0.2)
    assert [config.pace(n) for n in (0, 25, 80, 90, 1000)] == pytest.approx([1.0, 0.75, 0.2, 0.2, 0.2])
    assert LearnerConfig().pace(10**9) == 1.0


def test_it_goes_on_exactly_also_in_the_middle_of_an_update_s_steps():
    learner, twin = (Scripted([{}] * k, warmup=3, steps_per_update=10.0, max_staleness=1) for k in (1, 2))
    learner.play(9, 3)
    learner.update()
    learner.play(2, version=(0, 0))
    assert (learner.updates, learner.stale) == (2, 2)
    twin.load_state_dict(learner.state_dict())
    same(twin.state_dict(), learner.state_dict())
    assert (twin.updates, twin.stale, twin.experience) == (2, 2, 27)
    for each in (learner, twin):
        each.play(3, seed=4, version=(0, 2))  # three of ten beside the seven that were left
        each.update()
    assert learner.updates == twin.updates == 3
    assert torch.equal(learner.given[-1].rewards, twin.given[-1].rewards)


def test_a_state_without_a_part_is_refused():
    learner = Scripted()
    state = learner.state_dict()
    with pytest.raises(ValueError, match="networks: expected 2 parameters, got 0"):
        learner.load_state_dict({name: part for name, part in state.items() if name != "nets"})
