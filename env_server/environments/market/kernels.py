"""The compiled entry points of a market."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

import agora.market
from agora.sources import digest
from env_server.environments.market import step, views
from env_server.environments.market.book.queues import OPTIONS

_HERE: Final = Path(__file__).parent
SOURCES: Final = digest(_HERE, _HERE / "book", Path(agora.market.__file__).parent)


class Compiled(NamedTuple):
    """Entry points, which take many markets."""

    advance: Callable[..., None]
    show: Callable[..., None]
    log: Callable[..., None]


@cache
def compiled(sources: str = SOURCES) -> Compiled:
    """The market, ready to be called with arrays."""

    @njit(cache=True, **OPTIONS)
    def advance(markets: NDArray[Any], actions: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        sources  # noqa: B018
        for index in range(len(markets)):
            step.advance(markets[index], actions[index], rewards[index])

    @njit(cache=True, **OPTIONS)
    def show(markets: NDArray[Any], depth: int, seen: NDArray[np.float32], state: NDArray[np.float32]) -> None:
        sources  # noqa: B018
        prices, sizes = np.zeros(depth, np.int64), np.zeros(depth, np.int64)
        for index in range(len(markets)):
            views.write_state(markets[index], state[index])
            for seat in range(len(seen)):
                views.write_view(markets[index], seat, depth, seen[seat, index], prices, sizes)

    @njit(cache=True, **OPTIONS)
    def log(markets: NDArray[Any], depth: NDArray[np.int32], trades: NDArray[np.int32]) -> None:
        sources  # noqa: B018
        prices, sizes = np.zeros(depth.shape[2], np.int64), np.zeros(depth.shape[2], np.int64)
        for index in range(len(markets)):
            views.write_tape(markets[index], depth[index], trades[index], prices, sizes)

    return Compiled(advance, show, log)
