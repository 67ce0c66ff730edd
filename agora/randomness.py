"""Randomness keyed by what is drawn, not by who draws it or when.

Every draw comes from a counter-based generator (Philox, Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3") whose key is a hash of (seed, key ...). A row of a batch is taken by its copy number from a block that is
always drawn from its start, so that neither batching, nor processes, nor replicas change a draw.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray


def generator(seed: int, *key: int) -> np.random.Generator:
    """A fresh generator for one purpose, e.g. ``generator(seed, block, step, agent)``.

    Args:
        seed: 0 <= seed < 2**64.
        key: integers in [0, 2**64) that name the draw; the same numbers always give the same stream.
    """
    words = np.array((seed, *key), dtype=np.uint64)
    digest = hashlib.blake2b(words.tobytes(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64)))


def normal_rows(rows: NDArray[np.uint32], width: int, seed: int, *key: int) -> NDArray[np.float32]:
    """Standard normal draws, float32 (len(rows), width); row r depends only on (seed, key, rows[r])."""
    block = generator(seed, *key).standard_normal((int(rows.max(initial=-1)) + 1, width), dtype=np.float32)
    return block[rows]


def uniform_rows(rows: NDArray[np.uint32], width: int, seed: int, *key: int) -> NDArray[np.float32]:
    """Uniform draws in [0, 1), float32 (len(rows), width); row r depends only on (seed, key, rows[r])."""
    block = generator(seed, *key).random((int(rows.max(initial=-1)) + 1, width), dtype=np.float32)
    return block[rows]
