"""The scripted traders of an order-book market as policies: the behaviours that the environment itself runs.

============================  =====================================================================
``market:noise``              buys and sells at random
``market:trend``              follows the last ten steps
``market:reversion``          bets on a return to the mean of the last fifty
``market:maker``              quotes both sides, in a maker's seat
``market:fundamental``        takes what is cheaper or dearer than its ``signal``, which it must be shown
``market:zero``               asks for a random surplus over its ``signal``
``market:poisson``            takes on a random side what lies within an exponential distance
``market:book_reader``        prices by the order ``flow`` of late, which it must be shown, and its ``signal``
``market:spoofer``            collects what its ``signal`` says is cheap, then bids so that others pay more for it
``market:layering``           the same with bids at several prices
``market:quote_stuffing``     floods the market with orders
``market:momentum_ignition``  buys so that others follow, and sells to them
``market:stop_hunting``       sells so that stops are triggered, and buys from them
============================  =====================================================================

A seat takes fewer prices and sizes than a market, and one order a step: the nearest are chosen, of the last order. What
needs several large orders at once, as spoofing does, is weaker from a seat than inside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

import agora.market
from agent_services.policies.scripted import built
from agora.agents.policy import Batch, Chosen, Decide, Decision, Source, Spaces
from agora.compiling import cached
from agora.errors import Refused
from agora.market.choices import (
    CANCEL,
    HOLD,
    LIMIT,
    MAKER_CHOICES,
    MARKET,
    OFFSETS,
    SIZES,
    STEPS,
    TRADER_CHOICES,
)
from agora.market.layout import SIGHT, TRADER, WINDOW, Style
from agora.market.messages import MESSAGE, Kind
from agora.market.sending import MOST_MESSAGES
from agora.market.traders import decide, quotes, wakes
from agora.sources import digest
from agora.v1 import policy_pb2

SOURCES: Final = digest(Path(agora.market.__file__).parent)
UNIT, NEAR, LOTS = 100.0, 10.0, 5.0
"""Units of the observation: prices from the opening, distances from the middle, logarithms of lots."""
SEEN: Final = ("mid", "price_change_10", "sma_50", "market", "own", "depth", "orders")


@dataclass(frozen=True)
class Trader:
    """Parameters of all styles; a style uses some. Prices in ticks, sizes in lots, activity per step."""

    activity: float = 0.6
    feedback: float = 0.0
    cancel: float = 0.2
    take: float = 0.2
    away: float = 4.0
    least: float = 1
    most: float = 9
    threshold: float = 0.0
    half_spread: float = 2.0
    skew: float = 0.02
    holding: float = 200
    noise: float = 0.0
    period: float = 200
    spoof: float = 200
    opening: float = 10_000.0
    limit: float = 500
    steps: float = 1_000

    style: ClassVar[Style] = Style.NOISE
    memory_bytes: ClassVar[int] = 0

    def bind(self, spaces: Spaces) -> Decide:
        """Find the leaves, and refuse what is not a seat on a market that shows what the style needs."""
        seen = {leaf.path: place for place, leaf in enumerate(spaces.observation)}
        needed = [*SEEN, *_MORE.get(self.style, ())]
        choices = MAKER_CHOICES if self.style is Style.MAKER else TRADER_CHOICES
        if not set(needed) <= set(seen):
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "observation_space", f"leaves {needed}", str(list(seen)))
        if len(spaces.action) != 1 or spaces.action[0].choices != choices:
            got = str([leaf.choices for leaf in spaces.action])
            raise Refused(policy_pb2.REASON_SPEC_MISMATCH, "action_space", f"choices {choices}", got)
        trader = np.zeros(1, TRADER)
        for name in set(TRADER.names or ()) & {field.name for field in fields(self)}:
            trader[name] = getattr(self, name)
        trader["style"] = self.style
        return partial(self._decide, seen, trader, spaces.action[0].dtype)

    def _decide(self, seen: Mapping[str, int], trader: NDArray[Any], dtype: np.dtype[Any], batch: Batch) -> Decision:
        sights = self._sights({name: batch.observation[place] for name, place in seen.items()}, batch.rows)
        keys = (batch.draws.uniform(0, 1)[:, 0].astype(np.float64) * 2.0**63).astype(np.uint64)
        if self.style is Style.MAKER:
            return Decision([Chosen(_quoted(sights, trader).astype(dtype))])
        return Decision([Chosen(_sent(sights, trader, keys).astype(dtype))])

    def _sights(self, seen: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        """What the environment's own traders see, SIGHT (n,), from what a seat is shown."""
        sights = np.zeros(rows, SIGHT)
        mid = np.rint(2.0 * (self.opening + UNIT * seen["mid"].astype(np.float64))) / 2.0
        sights["step"] = 1 + np.rint(self.steps * (1.0 - seen["market"][:, 2]))
        sights["mid"], sights["average"] = mid, self.opening + UNIT * seen["sma_50"]
        sights["change"], sights["volatility"] = seen["price_change_10"] / 100.0, NEAR * seen["market"][:, 0]
        sights["shares"] = np.rint(self.limit * seen["own"][:, 0])
        for side, name in enumerate(("bid", "ask")):
            front = seen["depth"][:, side, 0]
            sights[name] = np.where(front[:, 1] > 0.0, np.rint(mid + NEAR * front[:, 0]), 0.0)
        sights["signal"] = self.opening + UNIT * seen["signal"] if "signal" in seen else mid
        orders = seen["orders"]
        there = orders[:, :, 0] != 0.0
        sights["count"], sights["id"] = there.sum(axis=1), 1 + np.arange(there.shape[1])
        sights["side"] = orders[:, :, 0] < 0.0
        sights["price"], sights["size"] = (
            np.rint(mid[:, None] + NEAR * orders[:, :, 1]),
            np.rint(10.0 * orders[:, :, 2]),
        )
        if "flow" in seen:
            at = (np.floor(mid).astype(np.int64)[:, None] + np.arange(-WINDOW // 2, WINDOW // 2)) & (WINDOW - 1)
            np.put_along_axis(sights["flow"], at[:, None], np.expm1(LOTS * seen["flow"].astype(np.float64)), axis=2)
        return sights


def _nearest(table: NDArray[Any], values: NDArray[Any]) -> NDArray[np.intp]:
    """Numbers of the entries nearest to values (n,)."""
    return np.asarray(np.abs(table - values[:, None]).argmin(axis=1))


def _quoted(sights: NDArray[Any], trader: NDArray[Any]) -> NDArray[np.intp]:
    """A maker's choices (n, 3)."""
    wanted = np.zeros((len(sights), 2), np.int64)
    _compiled(SOURCES)[1](sights, trader[0], wanted)
    bid = _nearest(OFFSETS, np.ceil(sights["mid"]) - 1 - wanted[:, 0])
    ask = _nearest(OFFSETS, wanted[:, 1] - np.floor(sights["mid"]) - 1)
    size = _nearest(SIZES, np.full(len(sights), (trader["least"][0] + trader["most"][0]) / 2))
    return np.stack([bid, ask, size], axis=1)


def _sent(sights: NDArray[Any], trader: NDArray[Any], keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    """A trader's choices (n, 4): its last order, or cancelling, or nothing."""
    messages, counts = np.zeros((len(sights), MOST_MESSAGES), MESSAGE), np.zeros(len(sights), np.int64)
    _compiled(SOURCES)[0](sights, trader[0], keys, messages, counts)
    last = messages[np.arange(len(sights)), np.maximum(counts - 1, 0)]
    side = last["side"]
    # A seat's prices do not reach far beyond the best one, so what would trade at once is sent as a market order.
    buys = (sights["ask"] > 0) & (last["price"] >= sights["ask"])
    taken = np.where(np.where(side == 0, buys, last["price"] <= sights["bid"]), MARKET, HOLD)
    act = np.select([last["kind"] == Kind.LIMIT, last["kind"] == Kind.MARKET], [LIMIT, MARKET], CANCEL)
    act = np.where(counts == 0, HOLD, np.where(last["kind"] == Kind.IOC, taken, act))
    nearest = np.where(side == 0, np.ceil(sights["mid"]) - 1, np.floor(sights["mid"]) + 1)
    best = np.where(side == 0, sights["bid"], sights["ask"])
    front = np.where(best > 0, best, nearest)
    behind = np.where(side == 0, front - last["price"], last["price"] - front)
    return np.stack([act, side, _nearest(STEPS, behind), _nearest(SIZES, last["size"])], axis=1)


@cache
def _compiled(sources: str) -> tuple[Callable[..., None], Callable[..., None]]:
    """Decisions and quotes of many rows; see ``agora.sources``."""

    @cached(nogil=True)
    def decide_rows(sights: Any, trader: Any, keys: Any, messages: Any, counts: Any) -> None:
        sources  # noqa: B018
        for row in range(len(sights)):
            if wakes(sights[row], trader, keys[row]):
                counts[row] = decide(sights[row], trader, keys[row], messages[row])

    @cached(nogil=True)
    def quote_rows(sights: Any, trader: Any, wanted: Any) -> None:
        sources  # noqa: B018
        for row in range(len(sights)):
            wanted[row, 0], wanted[row, 1] = quotes(sights[row], trader)

    return decide_rows, quote_rows


class Noise(Trader):
    """Buys and sells at random."""


class Trend(Trader):
    """Follows the last ten steps."""

    style = Style.TREND


class Reversion(Trader):
    """Bets on a return to the mean."""

    style = Style.REVERSION


class Maker(Trader):
    """Quotes both sides."""

    style = Style.MAKER


class Fundamental(Trader):
    """Takes what is cheaper or dearer than its signal."""

    style = Style.FUNDAMENTAL


class Zero(Trader):
    """Asks for a random surplus."""

    style = Style.ZERO_INTELLIGENCE


class Poisson(Trader):
    """Takes what lies near the middle."""

    style = Style.POISSON


class BookReader(Trader):
    """Prices by the order flow of late."""

    style = Style.BOOK_READER


class Spoofer(Trader):
    """Sells what it collected while a large bid, not meant to trade, makes others bid more."""

    style = Style.SPOOFER


class Layering(Trader):
    """The same with bids at several prices."""

    style = Style.LAYERING


class Stuffing(Trader):
    """Floods the market with orders."""

    style = Style.QUOTE_STUFFING


class Ignition(Trader):
    """Buys so that others follow, and sells to them."""

    style = Style.MOMENTUM_IGNITION


class StopHunting(Trader):
    """Sells so that stops are triggered, and buys from them."""

    style = Style.STOP_HUNTING


_MORE: Final = {
    Style.FUNDAMENTAL: ("signal",),
    Style.ZERO_INTELLIGENCE: ("signal",),
    Style.BOOK_READER: ("signal", "flow"),
    Style.SPOOFER: ("signal",),
    Style.LAYERING: ("signal",),
}
SCRIPTS: Final[Mapping[str, type[Trader]]] = {
    "noise": Noise,
    "trend": Trend,
    "reversion": Reversion,
    "maker": Maker,
    "fundamental": Fundamental,
    "zero": Zero,
    "poisson": Poisson,
    "book_reader": BookReader,
    "spoofer": Spoofer,
    "layering": Layering,
    "quote_stuffing": Stuffing,
    "momentum_ignition": Ignition,
    "stop_hunting": StopHunting,
}


def load(source: Source) -> Trader:
    """A trader by its style; see ``scripted.built``."""
    return built("market", SCRIPTS, source)
