"""Who has won a game of noughts and crosses, told from its board alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = np.arange(9).reshape(3, 3)
LINES = [*_ROWS, *_ROWS.T, _ROWS.diagonal(), np.fliplr(_ROWS).diagonal()]


def outcome(board: NDArray[np.generic]) -> int:
    """1, -1 or 0, for a board (3, 3, 2) whose planes are one's own marks and the other's, when the game is over.

    Raises:
        AssertionError: it is not over, or both have won.
    """
    mine, theirs = (any(marks[line].all() for line in LINES) for marks in board.reshape(9, 2).astype(bool).T)
    assert not (mine and theirs)
    assert mine or theirs or board.sum() == 9, "not over"
    return int(mine) - int(theirs)
