"""The arrays in which a step is shown, and the leaves that they are."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from agora.market.choices import MAKER_CHOICES, TRADER_CHOICES
from agora.market.layout import OWN_ORDERS, WINDOW, Flow
from env_server.environments.base import Array, Values
from env_server.environments.market.config import MarketConfig
from env_server.environments.market.seats import flattened
from env_server.environments.market.state import agents_of
from env_server.environments.market.views import BOOK, MARKET, OWN, PRICES

Floats = NDArray[np.float32]

LOGGED_LEVELS: Final = 10
LOGGED_TRADES: Final = 16
"""What the log has room for, of each step."""


class Shown(NamedTuple):
    """What B markets with N seats (M makers first) and A agents show, see ``views.observed`` and ``views.known``.

    Seats: ``prices`` (5, B), ``market`` (B, 3), ``depth`` (B, 2, levels, 2) and ``flow`` (B, 4, WINDOW), which all see
    alike; ``own`` (N, B, 6), ``orders`` (N, B, 4, 4) and ``signal`` (N, B). Their masks: ``makers`` (M, B, choices) and
    ``traders`` (N - M, B, choices). Critics: ``book`` (B, 2, 64), ``accounts`` (B, A, 2), ``known`` (B, 4). The log:
    ``mid`` and ``worth`` (B,) in ticks, ``volume`` (B,) lots that traded, ``traded`` (B,) lots that incoming orders
    bought less those they sold, ``inventory`` (B, N) lots, ``equity`` (B, N) ticks times lots, ``tape``
    (B, 2, LOGGED_LEVELS, 2) prices and lots of bids and asks, ``trades`` (B, LOGGED_TRADES, 3), see
    ``views.write_trades``. ``flow`` and ``signal`` have no elements where they are not shown.
    """

    prices: Floats
    market: Floats
    depth: Floats
    flow: Floats
    own: Floats
    orders: Floats
    signal: Floats
    makers: NDArray[np.uint8]
    traders: NDArray[np.uint8]
    book: Floats
    accounts: Floats
    known: Floats
    mid: NDArray[np.float64]
    worth: NDArray[np.float64]
    volume: NDArray[np.int64]
    traded: NDArray[np.int64]
    inventory: NDArray[np.int64]
    equity: NDArray[np.float64]
    tape: NDArray[np.int32]
    trades: NDArray[np.int32]


def blank(config: MarketConfig, count: int) -> Shown:
    """Arrays to be written for ``count`` markets."""
    seats, numbers = config.seats, np.float32
    return Shown(
        prices=np.empty((len(PRICES), count), numbers),
        market=np.empty((count, MARKET), numbers),
        depth=np.empty((count, 2, config.depth, 2), numbers),
        flow=np.empty((count if config.flow else 0, len(Flow), WINDOW), numbers),
        own=np.empty((seats, count, OWN), numbers),
        orders=np.empty((seats, count, OWN_ORDERS, 4), numbers),
        signal=np.empty((seats if config.informed else 0, count), numbers),
        makers=np.empty((config.makers, count, sum(MAKER_CHOICES)), np.uint8),
        traders=np.empty((config.traders, count, sum(TRADER_CHOICES)), np.uint8),
        book=np.empty((count, 2, 2 * BOOK), numbers),
        accounts=np.empty((count, agents_of(config), 2), numbers),
        known=np.empty((count, 4), numbers),
        mid=np.empty(count),
        worth=np.empty(count),
        volume=np.empty(count, np.int64),
        traded=np.empty(count, np.int64),
        inventory=np.empty((count, seats), np.int64),
        equity=np.empty((count, seats)),
        tape=np.empty((count, 2, LOGGED_LEVELS, 2), np.int32),
        trades=np.empty((count, LOGGED_TRADES, 3), np.int32),
    )


def observations(shown: Shown) -> list[Values]:
    """What each seat sees; what all see alike is one array for all of them."""
    alike: dict[str, Array] = dict(zip(PRICES, shown.prices, strict=True))
    alike |= {"market": shown.market, "depth": shown.depth}
    if len(shown.flow):
        alike["flow"] = shown.flow
    seen: list[dict[str, Array]] = [
        {**alike, "own": own, "orders": orders} for own, orders in zip(shown.own, shown.orders, strict=True)
    ]
    for leaves, signal in zip(seen, shown.signal, strict=False):
        leaves["signal"] = signal
    return list(seen)


def masks(shown: Shown, flat: bool) -> dict[int, Values]:
    """Legal choices of every seat; where ``flat``, of combinations."""
    makers, traders = list(shown.makers), list(shown.traders)
    if flat:
        makers = [flattened(mask, MAKER_CHOICES) for mask in makers]
        traders = [flattened(mask, TRADER_CHOICES) for mask in traders]
    return {seat: {"": mask} for seat, mask in enumerate((*makers, *traders))}


def state(shown: Shown) -> Values:
    """What critics see."""
    return {"book": shown.book, "accounts": shown.accounts, "market": shown.known}


def info(shown: Shown) -> Values:
    """What the log keeps."""
    return {
        "mid": shown.mid,
        "worth": shown.worth,
        "volume": shown.volume,
        "flow": shown.traded,
        "inventory": shown.inventory,
        "equity": shown.equity,
        "depth": shown.tape,
        "trades": shown.trades,
    }
