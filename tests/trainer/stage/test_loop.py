"""The order of rounds and checks, what they count, and when a run ends; blocks and verdicts are made by hand."""

import asyncio
import logging
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from agora.errors import Failed
from trainer.checkpoint import load_newest
from trainer.exploration import Explore
from trainer.settings import TrainingSettings
from trainer.stage import loop
from trainer.stage.equilibrium import Verification
from trainer.stage.loop import StageProgress, Training

STEPS = 24
"""Joint actions of a block: 4 steps of 6 copies."""
EPOCH = 4


class Learner:
    """Says what it was given; every round is one update, of which it has two losses."""

    def __init__(self):
        self.updates, self.added, self.owed, self.loaded = 0, [], [], None
        self.config = SimpleNamespace(noise_scale=lambda number, experienced: number + experienced / 1000)
        self.config.unilateral_exploration = True

    def add(self, segment):
        self.added.append(segment.block)

    def update(self, steps):
        self.owed.append(steps)
        self.updates += 1
        return {"critic": 0.5, "actor": -0.25}

    def actors(self):
        return [SimpleNamespace(layers=[], log_std=None)] * 3

    def state_dict(self):
        return {"weights": torch.full((2,), float(self.updates))}

    def load_state_dict(self, state):
        self.loaded = state
        self.updates = int(state["weights"][0])


class Around:
    """Collector, publisher and tracker in one, with the order of what is asked of them."""

    def __init__(self, block):
        self.block, self.did, self.asked, self.rows, self.versions = block, [], [], [], {}

    async def publish(self, actors, version, environment_steps):
        self.did.append("publish")
        self.versions = {f"station_{i}": version for i in range(3)}

    async def collect(self, spec, numbers, num_envs, versions, explore):
        self.did.append("check" if explore is None else "round")
        self.asked.append((list(numbers), num_envs, dict(versions), explore))
        return [self.made(number) for number in numbers]

    def made(self, number):
        segment = self.block(number)
        for i, agent in enumerate(segment.agents):
            agent.version[:] = number + 100 * i  # not in the last step of the last copy:
            agent.version[-1, -1] = EPOCH, 10 * number + i
        object.__setattr__(segment, "block", number)
        return segment

    def add(self, kind, row, step):
        self.rows.append((kind, row, step))

    def told(self, kind):
        return [row for found, row, _ in self.rows if found == kind]


def verdict(relative, actions=1.0):
    """Three agents with payoffs 10, 10 and -20, of whom the last one gains that share of 40."""
    payoffs = np.array([10.0, 10.0, -20.0])
    best = payoffs + np.array([0.0, 0.0, 40.0 * relative])
    return Verification(np.full((3, 2), actions), payoffs, np.zeros((3, 2)), best, 3.0, 77)


@pytest.fixture
def training(spec, block, tmp_path, monkeypatch):
    """Makes a run whose checks give these verdicts, the last one again and again; each learns from 5 joint actions."""
    clock = SimpleNamespace(now=0.0)

    def tick():
        clock.now += 2.0
        return clock.now

    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=tick, perf_counter=tick))

    def make(*verdicts, progress=None, **settings):
        around, left, judged = Around(block), list(verdicts), []

        def check(learner, segment, payoff, starts):
            judged.append((segment.block, payoff, starts))
            return (left.pop(0) if len(left) > 1 else left[0]), 5

        monkeypatch.setattr(loop, "check_equilibrium", check)
        run = Training(
            settings=TrainingSettings(**{"check_every": 3, "num_envs": 6, **settings}), spec=spec, learner=Learner(),
            collector=around, publisher=around, tracker=around, run_directory=tmp_path, epoch=EPOCH,
            payoff="the game's", progress=progress or StageProgress(),
        )  # fmt: skip
        return run, around, judged

    return make


def test_a_check_follows_every_third_round(training):
    run, around, judged = training(verdict(0.5), verdict(0.5), verdict(0.0))
    assert asyncio.run(run.run()) == "converged"
    rounds = [word for word in around.did if word != "publish"]
    assert rounds == ["round", "round", "round", "check"] * 3
    # What is not new is not published again; every round was an update.
    assert around.did == ["publish", "round"] * 3 + ["publish", "check", "round"] + ["publish", "round"] * 2 + [
        "publish", "check", "round", "publish", "round", "publish", "round", "publish", "check"
    ]  # fmt: skip
    assert judged == [(3, "the game's", 20), (7, "the game's", 20), (11, "the game's", 20)]


def test_blocks_are_numbered_on_and_all_are_learned_from(training):
    run, around, _ = training(verdict(0.0), blocks_per_round=2)
    asyncio.run(run.run())
    assert [asked[:2] for asked in around.asked] == [([0, 1], 6), ([2, 3], 6), ([4, 5], 6), ([6], 4)]
    assert run.learner.added == [0, 1, 2, 3, 4, 5]
    assert run.learner.owed == [2 * STEPS] * 3
    assert [versions["station_1"] for _, _, versions, _ in around.asked] == [(EPOCH, n) for n in range(4)]


def test_rounds_explore_and_checks_do_not(training):
    run, around, _ = training(verdict(0.0))
    asyncio.run(run.run())
    noise = [number + number * STEPS / 1000 for number in range(3)]
    assert [asked[3] for asked in around.asked] == [*(Explore(scale, unilateral=True) for scale in noise), None]
    assert [row["noise"] for row in around.told("round")] == noise


def test_the_budget_ends_a_run_after_a_last_check(training):
    """Four rounds are 96 joint actions, and the check after the third learned from 5 more."""
    run, around, _ = training(verdict(0.5), max_environment_steps=4 * STEPS + 5)
    assert asyncio.run(run.run()) == "budget"
    assert [word for word in around.did if word != "publish"] == ["round"] * 3 + ["check", "round", "check"]
    assert run.progress.environment_steps == 4 * STEPS + 10
    assert around.told("end") == [{"reason": "budget", "round": 4, "seconds": run.progress.seconds}]
    # Every row stands where the run was when it was written.
    counts = [STEPS, 2 * STEPS, 3 * STEPS, 3 * STEPS + 5, 4 * STEPS + 5, 4 * STEPS + 10]
    assert [step for kind, _, step in around.rows if kind in ("round", "check")] == counts
    assert [row["environment_steps"] for kind, row, _ in around.rows if kind in ("round", "check")] == counts


def test_a_budget_spent_by_a_check_is_not_checked_again(training):
    run, around, _ = training(verdict(0.5), max_environment_steps=3 * STEPS + 1)
    assert asyncio.run(run.run()) == "budget"
    assert [word for word in around.did if word != "publish"] == ["round"] * 3 + ["check"]


def test_a_last_check_may_still_converge(training):
    run, around, _ = training(verdict(0.0), max_environment_steps=1)
    assert asyncio.run(run.run()) == "converged"
    assert [row["round"] for row in around.told("check")] == [1]
    assert around.told("end")[0]["reason"] == "converged"


@pytest.mark.parametrize(("relative", "reason"), [(0.0099, "converged"), (0.01, "converged"), (0.0101, "budget")])
def test_converged_is_at_most_epsilon(training, relative, reason):
    run, _, _ = training(verdict(relative), epsilon=verdict(0.01).relative, max_environment_steps=STEPS)
    assert asyncio.run(run.run()) == reason


def test_the_rows_say_what_was_found(training, block):
    run, around, _ = training(verdict(0.25, actions=1.5), max_environment_steps=STEPS, blocks_per_round=2)
    asyncio.run(run.run())
    assert around.told("start") == [{"epoch": EPOCH, "resumed": False}]
    (row,), (check,) = around.told("round"), around.told("check")
    means = [np.mean([block(0).agents[i].reward.mean(), block(1).agents[i].reward.mean()]) for i in range(3)]
    assert list(row["rewards"].values()) == pytest.approx(means, rel=1e-12)
    assert list(row["rewards"]) == ["station_0", "station_1", "station_2"]
    assert row["versions"] == {"station_0": [EPOCH, 10], "station_1": [EPOCH, 11], "station_2": [EPOCH, 12]}
    assert row["losses"] == {"critic": 0.5, "actor": -0.25} and row["round"] == 1
    assert row["steps_per_second"] == 2 * STEPS / 2.0  # one tick of the clock
    assert (check["nash_conv"], check["nash_conv_estimated"], check["evaluations"]) == (10.0, 3.0, 77)
    assert (check["relative"], check["relative_estimated"]) == (10.0 / 40.0, 3.0 / 40.0)
    assert check["ani"] == pytest.approx((1.0 + 1.0 + 0.0) / 3.0)
    assert check["payoffs"] == {"station_0": 10.0, "station_1": 10.0, "station_2": -20.0}
    assert check["best_response_payoffs"]["station_2"] == -10.0
    assert check["actions"] == {f"station_{i}": [1.5, 1.5] for i in range(3)}


def test_seconds_go_on_from_what_was_spent_before(training):
    """The clock ticks by 2 s at every look: at the start, before each round or check, and twice in a round."""
    run, around, _ = training(verdict(0.0), max_environment_steps=STEPS, progress=StageProgress(seconds=100.0))
    asyncio.run(run.run())
    assert around.told("check")[0]["seconds"] == 100.0 + 2.0 * 4
    assert around.told("end")[0]["seconds"] == 108.0


@pytest.mark.parametrize(
    ("relative", "moved", "stalled"),
    [(0.021, 0.009, True), (0.021, 0.011, False), (0.02, 0.009, False), (0.019, 0.0, False), (0.5, -0.009, True),
     (0.5, -0.011, False)],
)  # fmt: skip
def test_policies_that_stand_still_far_from_an_equilibrium_explore_anew(training, caplog, relative, moved, stalled):
    """The second check's actions moved by so much, one number of one agent's."""
    again = verdict(relative)
    again.actions[1, 0] += moved
    run, around, _ = training(verdict(0.5), again, check_every=1, max_environment_steps=2 * STEPS,
                              stall_nash_conv=verdict(0.02).relative)  # fmt: skip
    with caplog.at_level(logging.INFO, "trainer.stage.loop"):
        asyncio.run(run.run())
    assert len(around.told("check")) == 2
    assert run.progress.noise_experience == (0 if stalled else 2 * STEPS)
    assert ("stalled at round 2" in caplog.text) == stalled


def test_the_first_check_has_nothing_to_compare_with(training):
    run, _, _ = training(verdict(0.5), max_environment_steps=STEPS)
    asyncio.run(run.run())
    assert run.progress.noise_experience == STEPS
    assert run.progress.checked_actions == [[1.0, 1.0]] * 3


def test_a_run_goes_on_where_its_last_check_was(training):
    """Learner, rounds and numbers of blocks; its last check counts, so that the next is three rounds on."""
    before, _, _ = training(verdict(0.5), max_environment_steps=3 * STEPS)
    asyncio.run(before.run())
    saved = load_newest(before.checkpoints)
    assert saved["progress"] | {"seconds": before.progress.seconds} == asdict(before.progress)
    assert (saved["progress"]["round"], saved["progress"]["checked_round"], saved["progress"]["block"]) == (3, 3, 4)

    after, around, judged = training(verdict(0.5), verdict(0.0), max_environment_steps=1000)
    assert asyncio.run(after.run()) == "converged"
    assert around.told("start") == [{"epoch": EPOCH, "resumed": True}]
    assert torch.equal(after.learner.loaded["weights"], torch.full((2,), 3.0))
    assert [asked[0] for asked in around.asked] == [[n] for n in range(4, 12)]
    assert [row["round"] for row in around.told("round")] == [4, 5, 6, 7, 8, 9]
    assert [block for block, _, _ in judged] == [7, 11]


@pytest.mark.parametrize("allowed", [0.4, 0.5])
def test_failed_episodes_are_told_and_too_many_end_the_run(training, monkeypatch, allowed):
    """Three of the six copies fail; so few episodes are judged at the end only."""
    run, around, _ = training(verdict(0.0), max_environment_steps=STEPS, max_failed_share=allowed)
    made = around.made
    why = ("copy 1 in step 2: NaN", "copy 2: b", "copy 3: c")
    monkeypatch.setattr(around, "made", lambda number: replace(made(number), failures=why, block=number))
    if allowed < 0.5:
        with pytest.raises(Failed, match=r"after round 1: 3 of 6 episodes failed; the first, copy 1 in step 2: NaN"):
            asyncio.run(run.run())
    else:
        assert asyncio.run(run.run()) == "converged"
    (row,) = around.told("round")
    assert (row["failed_episodes"], row["played_episodes"], row["first_failure"]) == (3, 6, why[0])
    assert bool(around.told("end")) == (allowed == 0.5)


def test_a_run_that_had_converged_ends_at_once(training):
    before, _, _ = training(verdict(0.0))
    asyncio.run(before.run())
    after, around, _ = training(verdict(0.5))
    assert asyncio.run(after.run()) == "converged"
    assert not around.did
