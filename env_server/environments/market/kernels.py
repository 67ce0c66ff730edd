"""The compiled entry points of a market."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import agora.market
from agora.compiling import cached
from agora.sources import digest
from env_server.environments.market import step, views
from env_server.environments.market.book.queues import OPTIONS
from env_server.environments.market.shown import LOGGED_LEVELS, Shown

_HERE: Final = Path(__file__).parent
SOURCES: Final = digest(_HERE, _HERE / "book", Path(agora.market.__file__).parent)


class Compiled(NamedTuple):
    """Entry points, which take many markets."""

    advance: Callable[..., None]
    """Take a step: ``step.advance``."""
    show: Callable[..., None]
    """Show what there is: ``views.show``."""
    play: Callable[..., None]
    """Take a step and show it, market after market, while one is in the cache."""


@cache
def compiled(sources: str = SOURCES) -> Compiled:
    """The market, ready to be called with arrays."""

    @cached(**OPTIONS)
    def advance(markets: NDArray[Any], actions: NDArray[np.int64], rewards: NDArray[np.float64]) -> None:
        sources  # noqa: B018
        for index in range(len(markets)):
            step.advance(markets[index], actions[index], rewards[index])

    @cached(**OPTIONS)
    def show(markets: NDArray[Any], to: Shown) -> None:
        sources  # noqa: B018
        front, found = np.zeros((2, 2, max(to.depth.shape[2], LOGGED_LEVELS)), np.int64), np.zeros(2, np.int64)
        for index in range(len(markets)):
            views.show(markets[index], index, to, front, found)

    @cached(**OPTIONS)
    def play(markets: NDArray[Any], actions: NDArray[np.int64], rewards: NDArray[np.float64], to: Shown) -> None:
        sources  # noqa: B018
        front, found = np.zeros((2, 2, max(to.depth.shape[2], LOGGED_LEVELS)), np.int64), np.zeros(2, np.int64)
        for index in range(len(markets)):
            step.advance(markets[index], actions[index], rewards[index])
            views.show(markets[index], index, to, front, found)

    return Compiled(advance, show, play)
