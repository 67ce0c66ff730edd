"""The replay is a ring of whole joint transitions."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from trainer.algorithms.game import Game
from trainer.algorithms.memory import Memory
from trainer.algorithms.trajectories import Trajectories
from trainer.spec import GameSpec


def game():
    seen, state = (spaces.Box(-9e9, 9e9, (n,), np.float32) for n in (2, 3))
    return Game.of(GameSpec("game", "", ("a", "b"), (seen, seen), (spaces.Discrete(3),) * 2, state, False, {}))


def numbered(first, steps, copies):
    """Everything tells which moment it is of: moment t of copy b is first + 100 * t + b."""
    moments = first + 100.0 * np.arange(steps + 1)[:, None] + np.arange(copies)
    now = moments[:-1, :, None].astype(np.float32)
    return Trajectories(
        observations=np.broadcast_to(moments[:, :, None, None], (steps + 1, copies, 2, 2)).astype(np.float32),
        state=np.broadcast_to(-moments[:, :, None], (steps + 1, copies, 3)).astype(np.float32),
        actions=np.broadcast_to(now[..., None], (steps, copies, 2, 3)).astype(np.float32),
        legal=np.ones((steps, copies, 2, 3), bool),
        log_probs=np.zeros((steps, copies, 2), np.float32),
        rewards=np.concatenate([now, -now], axis=2),
        terminated=np.broadcast_to(np.arange(steps)[:, None, None] == steps - 1, (steps, copies, 2)),
        truncated=np.zeros((steps, copies, 2), bool),
        acted=np.ones((steps, copies, 2), bool),
    )


def drawn(memory, size=4000):
    return memory.draw(size, torch.Generator().manual_seed(0))


def test_a_transition_stays_together():
    memory = Memory(game(), 50, state=True, masks=True)
    memory.add(numbered(1000.0, 3, 4))
    batch = drawn(memory)
    now = batch.rewards[:, 0]
    assert set(now.tolist()) == {1000.0 + 100 * t + b for t in range(3) for b in range(4)}
    for values, factor, later in (
        (batch.observations, 1, 0),
        (batch.next_observations, 1, 100),
        (batch.actions, 1, 0),
        (batch.state, -1, 0),
        (batch.next_state, -1, 100),
    ):
        expected = (factor * (now + later)).reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
        assert torch.equal(values, expected)
    ended = now >= 1200.0
    assert torch.equal(batch.continues[:, 1], (~ended).float())
    assert batch.legal.shape == batch.next_legal.shape == (4000, 2, 3)


@pytest.mark.parametrize("capacity", [12, 13, 20, 5])
def test_the_newest_stay(capacity):
    memory = Memory(game(), capacity)
    for number in range(3):
        memory.add(numbered(1000.0 * number, 2, 4))
    everything = [1000.0 * n + 100 * t + b for n in range(3) for t in range(2) for b in range(4)]
    assert len(memory) == capacity
    assert set(drawn(memory).rewards[:, 0].tolist()) == set(everything[-capacity:])


def test_what_nobody_asked_for_takes_no_room():
    batch_of = Memory(game(), 8)
    batch_of.add(numbered(0.0, 1, 4))
    batch = drawn(batch_of, 3)
    assert batch.state.shape == (3, 0) and batch.legal.shape == (3, 2, 0)


def test_it_goes_on_exactly_and_refuses_another_games_rows():
    memory, other = Memory(game(), 10), Memory(game(), 10)
    memory.add(numbered(0.0, 3, 4))
    other.load_state_dict(memory.state_dict())
    for ring in (memory, other):
        ring.add(numbered(5000.0, 1, 3))
    assert torch.equal(drawn(memory).rewards, drawn(other).rewards)
    with pytest.raises(ValueError, match="memory: expected rows"):
        Memory(game(), 10, state=True).load_state_dict(memory.state_dict())
