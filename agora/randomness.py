"""Randomness keyed by what is drawn, not by who draws it or when.

Every draw comes from a counter-based generator (Philox, Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3") whose key is a hash of (seed, key ...). A row of a batch is taken by its copy number from a block that is
always drawn from its start, so that neither batching, nor processes, nor replicas change a draw.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray


def generator(seed: int, *key: int) -> np.random.Generator:
    """A fresh generator for one purpose, e.g. ``generator(seed, block, step, agent)``.

    Args:
        seed: 0 <= seed < 2**64.
        key: integers in [0, 2**64) that name the draw; the same numbers always give the same stream.
    """
    words = struct.pack(f"<{len(key) + 1}Q", seed, *key)
    digest = hashlib.blake2b(words, digest_size=16).digest()
    key_words = _Key(np.frombuffer(digest, dtype=np.uint64))
    return np.random.Generator(np.random.Philox(key_words))  # type: ignore[arg-type]  # numpy names no interface there


class _Key(ISeedSequence):
    """Hands Philox its key.

    ``Philox(key=...)`` gives the same generator, but asks the system for entropy first, which takes longer than all the
    draws of a small batch.
    """

    def __init__(self, words: NDArray[np.uint64]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> NDArray[Any]:
        """The key, which is what Philox asks for: two words of 64 bits."""
        return self._words


def normal_rows(rows: NDArray[np.uint32], width: int, seed: int, *key: int) -> NDArray[np.float32]:
    """Standard normal draws, float32 (len(rows), width); row r depends only on (seed, key, rows[r])."""
    block = generator(seed, *key).standard_normal((_height(rows), width), dtype=np.float32)
    return block.take(rows, axis=0)


def uniform_rows(rows: NDArray[np.uint32], width: int, seed: int, *key: int) -> NDArray[np.float32]:
    """Uniform draws in [0, 1), float32 (len(rows), width); row r depends only on (seed, key, rows[r])."""
    block = generator(seed, *key).random((_height(rows), width), dtype=np.float32)
    return block.take(rows, axis=0)


def _height(rows: NDArray[np.uint32]) -> int:
    return int(rows.max()) + 1 if len(rows) else 0
