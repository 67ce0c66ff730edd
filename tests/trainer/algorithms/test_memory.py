"""What the replay holds, row by row, against a list: the newest, in order, every field of the row it came with."""

import re

import numpy as np
import pytest
import torch
from gymnasium import spaces

from tests.support.batches import mixed_experience
from trainer.algorithms.game import Game
from trainer.algorithms.memory import Memory
from trainer.spec import GameSpec


def game():
    boxes = [spaces.Box(-9.0, 9.0, (n,), np.float32) for n in (2, 3, 4)]
    actions = (spaces.Discrete(3), spaces.Discrete(2))
    return Game.of(GameSpec("game", "", ("a", "b"), tuple(boxes[:2]), actions, boxes[2], False, {}))


def rows_of(experience):
    """One flat row for each step of each copy, the steps' order first; nobody knows what is legal after the last."""
    t, copies = experience.rewards.shape[:2]
    legal = np.ones_like(experience.actions) if experience.legal is None else experience.legal
    return [
        np.concatenate(
            [
                np.ravel(part).astype(np.float32)
                for part in (
                    experience.observations[step, copy],
                    experience.actions[step, copy],
                    experience.rewards[step, copy],
                    ~experience.terminated[step, copy],
                    experience.acted[step, copy],
                    experience.observations[step + 1, copy],
                    experience.state[step, copy],
                    experience.state[step + 1, copy],
                    legal[step, copy],
                    legal[min(step + 1, t - 1), copy],
                )
            ]
        )
        for step in range(t)
        for copy in range(copies)
    ]


def fields_of(batch):
    names = ("observations", "actions", "rewards", "continues", "acted", "next_observations")
    more = ("state", "next_state", "legal", "next_legal")
    return torch.cat([getattr(batch, name).flatten(1) for name in names + more], dim=1).numpy()


ADDS = {
    "room for all": (40, [(2, 3), (3, 4)]),
    "exactly full": (18, [(2, 3), (3, 4)]),
    "round the end": (10, [(2, 3), (1, 3), (2, 3), (1, 1), (2, 4)]),
    "as many as fit": (12, [(1, 5), (3, 4)]),
    "more than fit, at once": (7, [(1, 3), (4, 5), (1, 2)]),
    "many times more, at the start": (4, [(5, 7)]),
    "of one row": (1, [(2, 2), (1, 1)]),
}


@pytest.mark.parametrize(("capacity", "adds"), ADDS.values(), ids=ADDS)
def test_it_is_a_list_of_the_newest(capacity, adds):
    memory, listed = Memory(game(), capacity, state=True, masks=True), []
    for seed, (steps, copies) in enumerate(adds):
        experience = mixed_experience(game(), steps, copies, seed)
        memory.add(experience)
        listed = (listed + rows_of(experience))[-capacity:]
        assert memory.added == sum(t * b for t, b in adds[: seed + 1])
        assert len(memory) == len(listed)
        kept = memory.state_dict()["rows"].numpy()
        oldest = memory.added % capacity if len(listed) == capacity else 0  # where the next one goes
        np.testing.assert_array_equal(np.roll(kept, -oldest, axis=0), listed)
    drawn = fields_of(memory.draw(50 * capacity, torch.Generator().manual_seed(0)))
    found, wanted = ({row.tobytes() for row in np.ascontiguousarray(rows)} for rows in (drawn, np.stack(listed)))
    assert found == wanted


def test_batches_have_the_games_shapes():
    memory = Memory(game(), 9, state=True, masks=True)
    memory.add(mixed_experience(game(), 2, 3))
    batch = memory.draw(5, torch.Generator())
    shapes = {name: tuple(value.shape) for name, value in vars(batch).items()}
    assert shapes == {
        **dict.fromkeys(("observations", "next_observations"), (5, 2, 3)),
        **dict.fromkeys(("actions", "legal", "next_legal"), (5, 2, 3)),
        **dict.fromkeys(("rewards", "continues", "acted"), (5, 2)),
        **dict.fromkeys(("state", "next_state"), (5, 4)),
    }


def test_each_field_is_that_of_its_own_row():
    """Found by its reward, which no two rows share."""
    experience = mixed_experience(game(), 5, 6)
    memory = Memory(game(), 64, state=True, masks=True)
    memory.add(experience)
    batch = memory.draw(300, torch.Generator().manual_seed(0))
    for k in range(300):
        t, b = np.argwhere(experience.rewards[:, :, 0] == float(batch.rewards[k, 0]))[0]
        after = min(t + 1, 4)
        for name, wanted in {
            "observations": experience.observations[t, b],
            "next_observations": experience.observations[t + 1, b],
            "actions": experience.actions[t, b],
            "rewards": experience.rewards[t, b],
            "continues": 1 - experience.terminated[t, b],  # cut off or not, it goes on
            "acted": experience.acted[t, b],
            "state": experience.state[t, b],
            "next_state": experience.state[t + 1, b],
            "legal": experience.legal[t, b],
            "next_legal": experience.legal[after, b],
        }.items():
            np.testing.assert_array_equal(getattr(batch, name)[k], wanted, err_msg=name)


@pytest.mark.parametrize(("state", "masks"), [(True, False), (False, True)])
def test_it_keeps_only_what_was_asked_for(state, masks):
    experience, memory = mixed_experience(game(), 2, 3), Memory(game(), 8, state=state, masks=masks)
    memory.add(experience)
    batch = memory.draw(40, torch.Generator().manual_seed(0))
    assert batch.state.shape == batch.next_state.shape == (40, 4 * state)
    assert batch.legal.shape == batch.next_legal.shape == (40, 2, 3 * masks)
    place = [np.argwhere(experience.rewards[:, :, 0] == float(r))[0] for r in batch.rewards[:, 0]]
    if state:
        np.testing.assert_array_equal(batch.state, [experience.state[t, b] for t, b in place])
        np.testing.assert_array_equal(batch.next_state, [experience.state[t + 1, b] for t, b in place])
    else:
        np.testing.assert_array_equal(batch.legal, [experience.legal[t, b] for t, b in place])
        np.testing.assert_array_equal(batch.next_legal, [experience.legal[1, b] for _, b in place])


def test_where_nothing_is_masked_all_is_legal():
    memory, experience = Memory(game(), 8, masks=True), mixed_experience(game(), 2, 3)
    memory.add(type(experience)(**{**vars(experience), "legal": None}))
    batch = memory.draw(20, torch.Generator())
    assert (batch.legal == 1).all() and (batch.next_legal == 1).all()


@pytest.mark.parametrize(("steps", "stored"), [(1, 5), (6, 20)], ids=["a quarter full", "overfull"])
def test_every_row_is_drawn_as_often_as_any_other_and_none_that_is_not_there(steps, stored):
    memory, experience = Memory(game(), 20), mixed_experience(game(), steps, 5)
    memory._rows.fill_(torch.nan)  # what no one wrote
    memory.add(experience)
    size = 4000
    rewards = memory.draw(size, torch.Generator().manual_seed(1)).rewards[:, 0].numpy()
    found, counts = np.unique(rewards, return_counts=True)
    np.testing.assert_array_equal(found, np.sort(experience.rewards.reshape(-1, 2)[-stored:, 0]))
    spread = np.sqrt(size * (1 / stored) * (1 - 1 / stored))
    assert (np.abs(counts - size / stored) < 5 * spread).all()


def test_draws_are_the_generators():
    memory = Memory(game(), 20)
    memory.add(mixed_experience(game(), 4, 5))
    first, again, other = (memory.draw(9, torch.Generator().manual_seed(seed)).rewards for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    going_on = torch.Generator().manual_seed(3)
    assert not torch.equal(memory.draw(9, going_on).rewards, memory.draw(9, going_on).rewards)


@pytest.mark.parametrize("adds", [1, 3], ids=["partly full", "overfull"])
def test_what_was_saved_is_what_goes_on(adds):
    memory, twin = (Memory(game(), 14, state=True, masks=True) for _ in range(2))
    for seed in range(adds):
        memory.add(mixed_experience(game(), 2, 4, seed))
    saved = memory.state_dict()
    assert saved["added"] == 8 * adds and len(saved["rows"]) == min(14, 8 * adds)
    before = saved["rows"].clone()
    memory.add(mixed_experience(game(), 1, 4, 9))
    assert torch.equal(saved["rows"], before)
    twin.load_state_dict(saved)
    assert (twin.added, len(twin)) == (8 * adds, min(14, 8 * adds))
    twin.add(mixed_experience(game(), 1, 4, 9))
    assert torch.equal(twin.state_dict()["rows"], memory.state_dict()["rows"])
    assert twin.added == memory.added


@pytest.mark.parametrize(
    ("other", "expected"),
    [({"capacity": 13}, [13, 36]), ({"capacity": 15}, [15, 36]), ({"masks": False}, [14, 24])],
    ids=["less room", "more room", "other columns"],
)
def test_rows_of_another_shape_are_refused(other, expected):
    """Two agents: 24 numbers of what is seen, done, earned and flagged, and 12 of what is legal."""
    memory = Memory(game(), 14, masks=True)
    memory.add(mixed_experience(game(), 4, 5))
    with pytest.raises(ValueError, match=re.escape(f"memory: expected rows {expected}, got [14, 36]")):
        Memory(game(), **{"capacity": 14, "masks": True} | other).load_state_dict(memory.state_dict())


@pytest.mark.parametrize("capacity", [10**12, 2**62])
def test_what_no_memory_holds_is_refused(capacity):
    with pytest.raises(ValueError, match=rf"capacity: expected at most [\d,]+ joint .*, got {capacity:,}$"):
        Memory(game(), capacity)
