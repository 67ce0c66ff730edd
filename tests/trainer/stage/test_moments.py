"""Blocks as transitions and moments, number by number, and what each says to whom."""

import dataclasses

import numpy as np
import pytest

from trainer.stage.base import Situation
from trainer.stage.experience import evaluations, transitions
from trainer.stage.layout import Layout


def seen(state, observations):
    """Critics that see the state's flows, flat."""
    return state["charging_flows"].reshape(len(state["charging_flows"]), 1, -1)


def numbered(block, **changes):
    """A block of 4 steps of 6 copies whose rewards are their step, copy and agent."""
    segment = block(0)
    steps, copies = np.indices((4, 6))
    agents = [
        dataclasses.replace(agent, reward=100.0 * i + 10.0 * steps + copies, **{k: v[i] for k, v in changes.items()})
        for i, agent in enumerate(segment.agents)
    ]
    return dataclasses.replace(segment, agents=tuple(agents))


def test_steps_come_one_after_the_other_with_what_follows(spec, block):
    segment = numbered(block)
    found = transitions(segment, Layout.of(spec), seen, 0.1, ahead=True)
    assert len(found) == 24
    for row in range(24):
        step, copy = divmod(row, 6)
        assert found.rewards[row].tolist() == [100 * i + 10 * step + copy for i in range(3)]
        flows = segment.state["charging_flows"]
        np.testing.assert_array_equal(found.critic_state[row, 0], flows[step, copy].ravel())
        np.testing.assert_array_equal(found.next_critic_state[row, 0], flows[step + 1, copy].ravel())
        for i, agent in enumerate(segment.agents):
            np.testing.assert_array_equal(found.actions[row, i], agent.action[""][step, copy])
            for values, at in ((found.observations, step), (found.next_observations, step + 1)):
                parts = [agent.observation[name][at, copy].ravel() for name in sorted(agent.observation)]
                np.testing.assert_array_equal(values[row, i], np.concatenate(parts))


def test_nothing_follows_where_nobody_looks_ahead(spec, block):
    found = transitions(numbered(block), Layout.of(spec), seen, 0.1, ahead=False)
    assert found.next_critic_state.shape == (24, 1, 0) and found.next_observations.shape == (24, 3, 0)
    assert found.critic_state.shape == (24, 1, 6) and found.observations.shape == (24, 3, 8)


def test_only_what_the_rules_ended_does_not_continue(spec, block):
    """Each agent ends by itself; what was cut off goes on."""
    ends = [np.zeros((4, 6), bool) for _ in range(3)]
    ends[1][2, 3] = True
    cut = [np.ones((4, 6), bool)] * 3
    found = transitions(numbered(block, terminated=ends, truncated=cut), Layout.of(spec), seen, 0.1, ahead=True)
    expected = np.ones((24, 3))
    expected[2 * 6 + 3, 1] = 0
    np.testing.assert_array_equal(found.continues, expected)


@pytest.mark.parametrize(
    ("explored", "acted", "expected"),
    [
        ([0, 0, 0], [1, 1, 1], [1, 1, 1]),  # all as their policies say
        ([1, 0, 0], [1, 1, 1], [1, 0.25, 0.25]),  # who explores alone learns all of it
        ([1, 1, 0], [1, 1, 1], [0.25, 0.25, 0.25]),
        ([0, 0, 0], [1, 2, 1], [0.25, 0, 0.25]),  # a substitute acted for the second
        ([0, 0, 1], [1, 0, 1], [0.25, 0, 0.25]),
        ([0, 1, 0], [1, 0, 1], [0.25, 0, 0.25]),  # once, though it both explored and did not act
    ],
)
def test_weights_of_one_step(spec, block, explored, acted, expected):
    log_probs = [np.full((4, 6), 0.5 * value, np.float32) for value in explored]
    by = [np.full((4, 6), value, np.uint8) for value in acted]
    found = transitions(numbered(block, log_prob=log_probs, acted=by), Layout.of(spec), seen, 0.25, ahead=False)
    np.testing.assert_array_equal(found.weights, np.tile(np.float32(expected), (24, 1)))


def test_evaluations_are_one_moment_again_and_again():
    state, observed = np.arange(4, dtype=np.float32).reshape(1, 2, 2), np.arange(6, dtype=np.float32).reshape(1, 3, 2)
    actions = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    payoffs = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    departed = np.array([[False, True, False], [True, True, False]])
    found = evaluations(state, observed, actions, payoffs, departed, 0.5)
    assert len(found) == 2
    for row in range(2):
        np.testing.assert_array_equal(found.critic_state[row], state[0])
        np.testing.assert_array_equal(found.observations[row], observed[0])
    np.testing.assert_array_equal(found.actions, actions)
    np.testing.assert_array_equal(found.rewards, payoffs)
    assert found.weights.tolist() == [[0.5, 1.0, 0.5], [0.5, 0.5, 0.5]]
    assert not found.continues.any() and found.continues.shape == (2, 3)
    assert found.next_critic_state.shape == (2, 2, 0) and found.next_observations.shape == (2, 3, 0)


@pytest.mark.parametrize("copy", [0, 1, 5])
def test_the_last_decision_is_the_last_before_the_end(block, copy):
    """Observations have one moment more than actions."""
    segment = block(3)
    found = Situation.last_of(segment, copy)
    for name, values in segment.state.items():
        assert found.state[name].shape == (1, *values.shape[2:])
        np.testing.assert_array_equal(found.state[name][0], values[3, copy])
    for agent, observed, action in zip(segment.agents, found.observations, found.actions, strict=True):
        for name, values in agent.observation.items():
            np.testing.assert_array_equal(observed[name][0], values[3, copy])
        np.testing.assert_array_equal(action, agent.action[""][3, copy])
    assert found.actions.dtype == np.float32


def test_the_first_copy_is_judged_unless_said(block):
    segment = block(3)
    np.testing.assert_array_equal(Situation.last_of(segment).actions, Situation.last_of(segment, 0).actions)
    assert (Situation.last_of(segment).actions != Situation.last_of(segment, 1).actions).all()
