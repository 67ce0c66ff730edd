"""Agents that come and go, and spaces of every kind."""

import numpy as np
import pytest

from tests.env_server.pettingzoo.conftest import ZOO, numbers, seed_of

COW, DOG, LAMB = range(3)


def meadow_actions(copies, tail=(0, 1)):
    return [
        {"": np.full(copies, 3, np.int64)},
        {"": np.zeros((copies, 2), np.float32)},
        {
            "legs": np.ones((copies, 4), np.int64),
            "tail.0": np.tile(np.array(tail, np.int8), (copies, 1)),
            "tail.1": np.zeros(copies, np.int64),
        },
    ]


def test_agents_join_and_die_and_others_go_on(host):
    hosted = host(f"{ZOO}:Meadow?days=5", 2)
    step = hosted.reset(4, numbers(2))
    alive, rewards, ended = [step.alive[0].tolist()], [], []
    while step.awaited.any():
        assert np.array_equal(step.alive, step.awaited)
        step = hosted.step(meadow_actions(2))
        alive.append(step.alive[1].tolist())
        rewards.append(step.rewards[1].tolist())
        ended.append((step.terminated[1].tolist(), step.truncated[1].tolist()))
    present = [(1, 1, 0), (1, 1, 1), (1, 1, 1), (1, 0, 1), (1, 0, 1), (0, 0, 0)]
    assert [tuple(map(int, row)) for row in alive] == present
    # Each step pays its number to those who were there when it began.
    assert rewards == [[1, 1, 0], [2, 2, 2], [3, 3, 3], [4, 0, 4], [5, 0, 5]]
    none = [False] * 3
    assert ended == [(none, none)] * 2 + [([False, True, False], none), (none, none), (none, [True, False, True])]
    assert not step.info["failed"].any()


def test_every_kind_of_space_travels_and_absent_agents_see_zeros_inside_their_space(host):
    hosted = host(f"{ZOO}:Meadow", 2)
    step = hosted.reset(4, numbers(2))
    cow = step.observations[COW]
    assert cow["picture"].dtype == np.uint8 and (cow["picture"] == 200).all()
    assert cow["near.0"].tolist() == [-1, -1] and cow["near.1"].tolist() == [[0, 1, 2, 1]] * 2
    starts = [1.0 + seed_of(4, copy) % 7 for copy in range(2)]
    assert step.observations[DOG][""].dtype == np.float32
    assert step.observations[DOG][""].tolist() == [[start, 1.0] for start in starts]
    assert step.observations[LAMB][""].tolist() == [[0, 0, 0]] * 2
    for _ in range(3):
        step = hosted.step(meadow_actions(2, tail=(0, 1)))
    assert step.terminated[:, DOG].all()
    assert step.observations[DOG][""].tolist() == [[start, 4.0] for start in starts]  # what it saw last
    assert step.observations[LAMB][""].tolist() == [[0, 1, 1]] * 2
    step = hosted.step(meadow_actions(2))
    assert (step.observations[DOG][""] == 1.0).all()  # 0 lies outside [1, 9]
    assert set(step.state) == {"cow.near.0", "cow.near.1", "cow.picture", "dog", "lamb"}
    for leaf, values in step.state.items():
        agent, _, path = leaf.partition(".")
        assert np.array_equal(values, step.observations[hosted.agents.index(agent)][path])


def test_single_copies_start_again_while_others_go_on(host):
    hosted = host(f"{ZOO}:Meadow", 3, workers=2)
    step = hosted.reset(4, numbers(3))
    for _ in range(4):
        step = hosted.step(meadow_actions(3))
    assert not step.awaited.any()
    step = hosted.restart(9, numbers(3), np.array([0, 2]))
    assert step.awaited.any(axis=1).tolist() == [True, False, True]
    assert not step.rewards.any() and not step.truncated.any()
    assert step.observations[DOG][""][[0, 2], 0].tolist() == [1.0 + seed_of(9, copy) % 7 for copy in (0, 2)]
    step = hosted.step(meadow_actions(3))
    assert step.rewards.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 0]]
    step = hosted.restart(9, numbers(3), np.array([1]))
    assert step.observations[COW]["picture"][:, 0, 0, 0].tolist() == [201, 200, 201]
    assert hosted.step(meadow_actions(3)).rewards[:, COW].tolist() == [2, 1, 2]


def test_steps_are_the_callers_to_keep(host):
    hosted = host(f"{ZOO}:Meadow", 2)
    first = hosted.reset(4, numbers(2))
    kept = first.observations[COW]["picture"].copy()
    hosted.step(meadow_actions(2))
    assert np.array_equal(first.observations[COW]["picture"], kept)


@pytest.mark.parametrize(
    ("agent", "leaf", "value", "words"),
    [
        (COW, "", np.array([3, 5]), "cow.: expected [2, 4], got 5"),
        (COW, "", np.array([3.0, 3.0]), "expected int64"),
        (COW, "", np.array([3]), "expected shape (2,), got (1,)"),
        (DOG, "", np.full((2, 2), np.nan, np.float32), "finite"),
    ],
)
def test_awaited_actions_are_checked(agent, leaf, value, words, host):
    hosted = host(f"{ZOO}:Meadow", 2)
    hosted.reset(4, numbers(2))
    actions = meadow_actions(2)
    actions[agent][leaf] = value
    with pytest.raises(ValueError) as caught:
        hosted.step(actions)
    assert words in str(caught.value)
    assert hosted.step(meadow_actions(2)).rewards[:, COW].tolist() == [1, 1]  # nothing was changed


def test_what_is_not_awaited_is_not_looked_at(host):
    hosted = host(f"{ZOO}:Meadow", 2)
    hosted.reset(4, numbers(2))
    actions = meadow_actions(2)
    actions[LAMB] = {}
    assert hosted.step(actions).rewards[:, COW].tolist() == [1, 1]


def test_a_step_after_the_end_needs_a_reset(host):
    hosted = host(f"{ZOO}:Meadow?days=2", 1)
    with pytest.raises(RuntimeError):
        hosted.step(meadow_actions(1))
    hosted.reset(0, numbers(1))
    for _ in range(2):
        hosted.step(meadow_actions(1))
    with pytest.raises(RuntimeError):
        hosted.step(meadow_actions(1))


@pytest.mark.parametrize(
    ("how", "ends"),
    [
        ("silent", [(5, [True, True], [False, False])]),
        ("early", [(4, [True, False], [False, False]), (5, [False, True], [False, False])]),
        ("flagged", [(5, [False, False], [True, True])]),
    ],
)
def test_who_leaves_a_game_of_turns_without_a_word_has_ended(how, ends, host):
    hosted = host(f"{ZOO}:Walkout?how={how}", 2)
    for _ in range(2):  # the second episode knows nothing of the first
        step, found = hosted.reset(1, numbers(2)), []
        for number in range(1, 6):
            step = hosted.step([{"": np.zeros(2, np.int64)}] * 2)
            if (step.terminated | step.truncated).any():
                found.append((number, step.terminated[1].tolist(), step.truncated[1].tolist()))
        assert found == ends
        assert not step.awaited.any() and not step.alive.any()
