"""The player that the suite seats beside the driver: its actions are legal in every space that travels."""

import numpy as np
import pytest
from gymnasium import spaces

from agora.conformance.env.player import _middle
from agora.spaces import leaves


@pytest.mark.filterwarnings("ignore::UserWarning:gymnasium.*")
@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 3.0, (2,), np.float32),
        spaces.Box(-np.inf, np.inf, (2,), np.float32),
        spaces.Box(-np.inf, np.inf, (), np.float64),
        spaces.Box(2.0, np.inf, (1,), np.float32),
        spaces.Box(-np.inf, -2.0, (1,), np.float64),
        spaces.Box(0, 1, (2,), np.bool_),
        spaces.Box(-128, 127, (2,), np.int8),
        spaces.Box(-(2**63), 2**63 - 1, (2,), np.int64),
        spaces.Box(3, 4, (2, 2), np.uint8),
    ],
    ids=str,
)
def test_what_it_does_is_legal(space):
    (leaf,) = leaves(space)
    head = _middle(leaf, 3)
    leaf.check(head.action, 3, "action")
