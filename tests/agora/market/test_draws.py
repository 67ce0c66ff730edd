"""Random numbers for compiled code: what they are distributed like."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from agora.market.draws import below, keyed, uniform
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.state import opened
from env_server.environments.market.step import shuffle

KEYS = 60_000


@njit
def draw(drawn: NDArray[np.float64], wholes: NDArray[np.int64], bound: int) -> None:
    for row in range(len(drawn)):
        key = keyed(np.uint64(1), row)
        wholes[row] = below(key, bound)
        for number in range(drawn.shape[1]):
            drawn[row, number] = uniform(key, number)


@njit
def shuffled(markets: NDArray[np.void], count: int) -> None:
    for row in range(len(markets)):
        market = markets[row]
        for agent in range(count):
            market.acting[agent], market.keys[agent] = agent, keyed(np.uint64(row), agent)
        shuffle(market, count)


def test_draws_are_uniform_and_two_of_one_word_are_independent() -> None:
    drawn, wholes = np.zeros((KEYS, 4)), np.zeros(KEYS, np.int64)
    draw(drawn, wholes, 7)
    assert drawn.min() >= 0.0 and drawn.max() < 1.0
    # Means of n uniform draws deviate by sqrt(1 / 12 n), correlations by sqrt(1 / n): five times that is never seen.
    assert np.abs(drawn.mean(axis=0) - 0.5).max() < 5 * (12 * KEYS) ** -0.5
    about = np.corrcoef(np.column_stack([drawn, wholes]), rowvar=False) - np.eye(5)
    assert np.abs(about).max() < 5 * KEYS**-0.5
    counts = np.bincount(wholes, minlength=7)
    assert len(counts) == 7 and np.abs(counts - KEYS / 7).max() < 5 * (KEYS / 7) ** 0.5


def test_every_order_of_turns_is_as_likely() -> None:
    markets = opened(MarketConfig(crowd=()), 6_000)
    shuffled(markets, 3)
    orders = [tuple(row) for row in markets["acting"][:, :3].tolist()]
    counts = np.array([orders.count(order) for order in permutations(range(3))])
    assert counts.sum() == 6_000 and np.abs(counts - 1_000).max() < 5 * 1_000**0.5
