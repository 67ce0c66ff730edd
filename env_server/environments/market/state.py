"""A market as one record: the book, its traders, and what everybody sees of the past."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agora.market.layout import SIGHT, TRADER, Style
from agora.market.messages import MESSAGE
from agora.market.sending import MOST_MESSAGES
from env_server.environments.market.book.records import CASH, RESULT, Phase, book_type
from env_server.environments.market.config import MOST_DELAY, MarketConfig

MEMORY: Final = 64
"""Mids that are kept, a power of two."""
CHANGE: Final = 10
"""Steps over which ``price_change_10`` looks back."""
AVERAGE: Final = 50
"""Mids of ``sma_50``."""
ROOM: Final = 64
"""Agents that the smallest record has room for."""
PRICES: Final = 1024
"""Of the ladder, which follows the price."""
SETTINGS: Final = np.dtype(
    [
        ("agents", "i8"),
        ("makers", "i8"),
        ("steps", "i8"),
        ("anchored", "i8"),
        ("opening", "i8"),
        ("closing", "i8"),
        ("flow", "i8"),
        ("informed", "i8"),
        ("shows_flow", "i8"),
        ("signal_noise", "f8"),
        ("mean", "f8"),
        ("reversion", "f8"),
        ("volatility", "f8"),
        ("penalty", "f8"),
        ("cash", "f8"),
    ]
)
"""What compiled code needs of the configuration."""


def market_type(config: MarketConfig) -> np.dtype[np.void]:
    """The record of a market under a configuration.

    Sizes go in steps, with room that is not used, so that markets of similar size are one type: a type is compiled
    once.
    """
    room = ROOM
    while room < agents_of(config):
        room *= 4
    delayed = config.latency or any(crowd.latency for crowd in config.crowd)
    slots = 8 * room
    return np.dtype(
        [
            ("book", book_type(slots, PRICES, room, 2 * slots)),
            ("settings", SETTINGS),
            ("traders", TRADER, (room,)),
            ("sight", SIGHT),
            ("turns", "i4", (room,)),
            ("delays", "i4", (room,)),
            ("others", "i4", (room,)),
            ("acting", "i4", (room,)),
            ("keys", "u8", (room,)),
            ("awake", "u1", (room,)),
            ("messages", MESSAGE, (MOST_MESSAGES,)),
            ("result", RESULT),
            ("waiting", MESSAGE, (MOST_DELAY + 1, MOST_MESSAGES * room) if delayed else (1, 1)),
            ("count", "i8", (MOST_DELAY + 1 if delayed else 1,)),
            ("key", "u8"),
            ("step", "i8"),
            ("worth", "f8"),
            ("mids", "f8", (MEMORY,)),
            ("sum", "f8"),
            ("volatilities", "f8", (3,)),
            ("growth", "f8"),
            ("read", "i8"),
            ("since", "i8"),
            ("volume", "i8"),
            ("flow", "i8"),
            ("equity", "f8", (room,)),
        ]
    )


def agents_of(config: MarketConfig) -> int:
    """Seats and scripted traders."""
    return config.seats + sum(crowd.count for crowd in config.crowd)


def opened(config: MarketConfig, count: int) -> NDArray[Any]:
    """Markets (count,) before their first step."""
    markets = np.zeros(count, market_type(config))
    book, price = markets["book"], round(config.worth.mean)
    for name in ("maker_fee", "taker_fee", "self_trade"):
        book[name] = getattr(config, name)
    book["next_id"] = 1
    book["base"] = max(1, price - PRICES // 2)
    book["accounts"]["limit"] = 2**40
    book["accounts"]["limit"][:, : config.seats] = config.position_limit
    book["accounts"]["cash"] = config.cash * 100 * CASH
    if config.opening:
        book["phase"] = Phase.AUCTION
    markets["settings"] = _settings(config)
    markets["worth"], markets["growth"] = config.worth.mean, 1.0
    markets["mids"], markets["sum"] = price, price * AVERAGE
    sight = markets["sight"]
    sight["mid"] = sight["average"] = sight["signal"] = price
    markets["equity"] = config.cash * 100
    markets["turns"] = np.arange(markets["turns"].shape[1])
    traders, delays = _traders(config)
    markets["traders"][:, : len(traders)], markets["delays"][:, : len(traders)] = traders, delays
    return markets


def _settings(config: MarketConfig) -> NDArray[Any]:
    settings = np.zeros((), SETTINGS)
    for name in ("makers", "steps", "anchored", "opening", "closing", "informed", "signal_noise"):
        settings[name] = getattr(config, name)
    for name in ("mean", "reversion", "volatility"):
        settings[name] = getattr(config.worth, name)
    settings["agents"], settings["shows_flow"] = agents_of(config), config.flow
    settings["flow"], settings["penalty"] = config.keeps_flow, config.inventory_penalty
    settings["cash"] = config.cash * 100
    return settings


def _traders(config: MarketConfig) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Settings TRADER (agents,) and delays (agents,) of all agents, seats first."""
    traders = np.zeros(config.seats, TRADER)
    traders["style"], traders["holding"] = Style.SEAT, config.position_limit
    delays = [config.latency] * config.seats
    parts = [traders]
    for crowd in config.crowd:
        part = np.zeros(crowd.count, TRADER)
        for name in set(TRADER.names or ()) & set(type(crowd).model_fields):
            if name != "style":
                part[name] = getattr(crowd, name)
        part["style"] = crowd.number
        parts.append(part)
        delays += [crowd.latency] * crowd.count
    return np.concatenate(parts), np.array(delays, np.int32)
