"""Who shares networks with whom, and in what order a critic reads."""

import numpy as np
import pytest
from gymnasium import spaces

from trainer.algorithms.game import Game
from trainer.algorithms.sharing import members_of, own_first
from trainer.spec import GameSpec


def game(*widths):
    """One agent for each width of what it sees; all act alike."""
    boxes = {n: spaces.Box(-1.0, 1.0, (n,), np.float32) for n in {1, *widths}}
    agents = tuple(f"agent_{i}" for i in range(len(widths)))
    seen, done = tuple(boxes[n] for n in widths), (boxes[1],) * len(widths)
    return Game.of(GameSpec("game", "", agents, seen, done, boxes[1], False, {}))


@pytest.mark.parametrize(
    ("widths", "share", "members"),
    [
        ((2, 2, 2), None, [0, 0, 0]),
        ((2, 2, 2), True, [0, 0, 0]),
        ((2, 2, 2), False, [0, 1, 2]),
        ((3, 2, 3, 4, 2), None, [0, 1, 0, 2, 1]),
        ((3, 2, 3, 4, 2), True, [0, 1, 0, 2, 1]),
        ((3, 2), None, [0, 1]),
        ((3, 2), False, [0, 1]),
        ((3,), True, [0]),
    ],
)
def test_who_is_alike_shares_where_sharing_is_wanted(widths, share, members):
    assert members_of(game(*widths), share) == members


@pytest.mark.parametrize("widths", [(3, 2), (1, 2, 3)])
def test_nobody_shares_with_nobody(widths):
    names = ", ".join(f"agent_{i}" for i in range(len(widths)))
    with pytest.raises(ValueError, match=f"share: expected agents with equal spaces, got {names} with different ones"):
        members_of(game(*widths), True)


@pytest.mark.parametrize(
    ("members", "orders"),
    [
        ([0], [[0]]),
        ([0, 1, 2], [[0, 1, 2]] * 3),
        ([0, 0, 0], [[0, 1, 2], [1, 2, 0], [2, 0, 1]]),
        ([0, 1, 1, 0], [[0, 3, 1, 2], [1, 2, 3, 0], [2, 1, 3, 0], [3, 0, 1, 2]]),
        ([0, 1, 0, 2, 1], [[0, 2, 1, 3, 4], [1, 4, 2, 3, 0], [2, 0, 3, 4, 1], [3, 4, 0, 1, 2], [4, 1, 0, 2, 3]]),
    ],
)
def test_its_own_comes_first_and_its_likes_next_round_the_table(members, orders):
    assert own_first(members).tolist() == orders
