"""A market as one record: the book, its traders, and what everybody sees of the past."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agora.market.draws import mixed
from agora.market.layout import OWN_ORDERS, SIGHT, TRADER, Style
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
PARTS: Final = 16
"""Parts of a crowd, the seats one of them, that the smallest record has room for."""
PRICES: Final = 1024
"""Of the ladder, which follows the price."""
SETTINGS: Final = np.dtype(
    [
        ("agents", "i8"),
        ("parts", "i8"),
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
    room, parts = ROOM, PARTS
    while room < agents_of(config):
        room *= 4
    while parts < 1 + len(config.crowd):
        parts *= 4
    delayed = config.latency or any(crowd.latency for crowd in config.crowd)
    slots = 8 * room
    return np.dtype(
        [
            ("book", book_type(slots, PRICES, room, 2 * slots)),
            ("settings", SETTINGS),
            ("traders", TRADER, (parts,)),
            ("ends", "u4", (parts,)),
            ("part", "u4", (room,)),
            ("delays", "u4", (room,)),
            ("ids", "i8", (room, OWN_ORDERS)),
            ("sight", SIGHT),
            ("acting", "u4", (room,)),
            ("salts", "u8", (room,)),
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
    markets["salts"] = [mixed(np.uint64(agent)) for agent in range(markets["salts"].shape[1])]
    traders, counts, delays = _parts(config)
    parts = len(counts)
    markets["traders"][:, :parts], markets["ends"][:, :parts] = traders, np.cumsum(counts)
    for name, values in (("part", range(parts)), ("delays", delays)):
        markets[name][:, : sum(counts)] = np.repeat(values, counts)
    return markets


def _settings(config: MarketConfig) -> NDArray[Any]:
    settings = np.zeros((), SETTINGS)
    for name in ("makers", "steps", "anchored", "opening", "closing", "informed", "signal_noise"):
        settings[name] = getattr(config, name)
    for name in ("mean", "reversion", "volatility"):
        settings[name] = getattr(config.worth, name)
    settings["agents"], settings["parts"] = agents_of(config), 1 + len(config.crowd)
    settings["shows_flow"] = config.flow
    settings["flow"], settings["penalty"] = config.keeps_flow, config.inventory_penalty
    settings["cash"] = config.cash * 100
    return settings


def _parts(config: MarketConfig) -> tuple[NDArray[Any], list[int], list[int]]:
    """Settings TRADER (parts,), counts and delays of the seats and of each part of the crowd, in the agents' order."""
    traders = np.zeros(1 + len(config.crowd), TRADER)
    traders[0]["style"], traders[0]["holding"] = Style.SEAT, config.position_limit
    for trader, crowd in zip(traders[1:], config.crowd, strict=True):
        for name in set(TRADER.names or ()) & set(type(crowd).model_fields):
            if name != "style":
                trader[name] = getattr(crowd, name)
        trader["style"] = crowd.number
    counts = [config.seats, *(crowd.count for crowd in config.crowd)]
    return traders, counts, [config.latency, *(crowd.latency for crowd in config.crowd)]
