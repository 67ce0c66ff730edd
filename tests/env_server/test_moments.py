"""Moments of a block: one array, its parts, and its memory."""

import numpy as np
import pytest

from env_server.rollout.moments import Moments

PLAIN = [np.arange(12, dtype=np.float32).reshape(3, 4) + 100 * t for t in range(5)]
LARGE = [np.arange(8192, dtype=np.float64).reshape(2, 4096) + 100 * t for t in range(5)]


@pytest.mark.parametrize(
    "arrays",
    [PLAIN, LARGE, [a.T for a in PLAIN], [a.T for a in LARGE], [a[:, ::2] for a in PLAIN], [PLAIN[0].T] * 5],
)
def test_it_is_what_numpy_stacks(arrays):
    moments, stacked = Moments(arrays), np.stack(arrays)
    assert np.array_equal(moments.array, stacked) and moments.shape == stacked.shape
    assert b"".join(moments.chunks()) == stacked.tobytes() and moments.nbytes == stacked.nbytes
    part = moments.cut(1, 4)
    assert np.array_equal(part.array, stacked[1:4]) and b"".join(part.chunks()) == stacked[1:4].tobytes()
