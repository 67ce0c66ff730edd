"""Random numbers for compiled code, keyed by what is drawn: no state, so nothing depends on who draws first."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit, uint64

compiled = njit(error_model="numpy", nogil=True, forceinline=True)

_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)


@compiled
def mixed(word: np.uint64) -> np.uint64:
    """A bijection of 64 bits that leaves no pattern (SplitMix64; Steele, Lea and Flood 2014)."""
    word = uint64(word) + _GOLDEN
    word = (word ^ (word >> uint64(30))) * _FIRST
    word = (word ^ (word >> uint64(27))) * _SECOND
    return word ^ (word >> uint64(31))


@compiled
def keyed(key: np.uint64, number: int) -> np.uint64:
    """The key of one of a key's parts."""
    return mixed(uint64(key) ^ mixed(uint64(number)))


@compiled
def uniform(key: np.uint64, number: int) -> float:
    """The ``number``-th draw of a key, in [0, 1): 32 bits, so that two draws are one word."""
    word = mixed(uint64(key) + uint64(number >> 1) * _SECOND)
    return float((word >> uint64(32 * (number & 1))) & uint64(0xFFFFFFFF)) * 2.0**-32


@compiled
def below(key: np.uint64, bound: int) -> int:
    """A whole number in [0, bound) that a key itself is, where none other is drawn from it."""
    return int((uint64(key) >> uint64(32)) * uint64(bound) >> uint64(32))


@compiled
def normal(key: np.uint64, number: int) -> float:
    """A standard normal draw, which takes the uniform ones ``number`` and ``number + 1`` (Box and Muller 1958)."""
    return math.sqrt(-2.0 * math.log(1.0 - uniform(key, number))) * math.cos(2.0 * math.pi * uniform(key, number + 1))


@compiled
def exponential(key: np.uint64, number: int, mean: float) -> float:
    """An exponentially distributed draw."""
    return -mean * math.log(1.0 - uniform(key, number))
