"""What agents may do, and how their choices become messages."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.market.choices import (
    CANCEL,
    HOLD,
    IOC,
    KINDS,
    LIMIT,
    MAKER_CHOICES,
    MARKET,
    NO_QUOTE,
    OFFSETS,
    POST,
    SIZES,
    STEPS,
    TRADER_CHOICES,
)
from agora.market.draws import compiled
from agora.market.sending import add, drop_all, quote
from env_server.environments.market.book.records import Phase


@compiled
def make_quotes(sight: Any, trader: Any, action: Any, messages: Any) -> int:
    """A maker's choices as messages: orders that are where they should be stay, all others on the side go."""
    count, size = 0, SIZES[action[2]]
    bid = -1 if action[0] == NO_QUOTE else math.ceil(sight.mid) - 1 - OFFSETS[action[0]]
    ask = -1 if action[1] == NO_QUOTE else math.floor(sight.mid) + 1 + OFFSETS[action[1]]
    count = quote(sight, trader, 0, bid, size, messages, count)
    return quote(sight, trader, 1, ask, size, messages, count)


@compiled
def send_order(sight: Any, action: Any, messages: Any) -> int:
    """A trader's choices as messages."""
    act, side, size = action[0], action[1], SIZES[action[3]]
    if act == HOLD:
        return 0
    if act == CANCEL:
        return drop_all(sight, messages, 0)
    front = sight.bid if side == 0 else sight.ask
    if front == 0:
        front = math.ceil(sight.mid) - 1 if side == 0 else math.floor(sight.mid) + 1
    price = front - STEPS[action[2]] if side == 0 else front + STEPS[action[2]]
    return add(messages, 0, KINDS[act], side, price, size, 0)


def legal(markets: NDArray[Any], seat: int, maker: bool) -> NDArray[np.uint8]:
    """Which choices of a seat the market would not reject as they are, uint8 (B, sum of its choices)."""
    book = markets["book"]
    account = book["accounts"][:, seat]
    room = account["shares"][:, None] * np.array([1, -1]) + account["open"] < account["limit"][:, None]
    if maker:
        mask = np.ones((len(markets), sum(MAKER_CHOICES)), np.uint8)
        for side in range(2):
            held = account["shares"] * (1 - 2 * side) < account["limit"]
            mask[:, side * MAKER_CHOICES[0] :][:, :NO_QUOTE] = held[:, None]
        return mask
    mask = np.ones((len(markets), sum(TRADER_CHOICES)), np.uint8)
    gathering = book["phase"] != Phase.CONTINUOUS
    mask[:, [POST, IOC, MARKET]] = ~gathering[:, None]
    mask[:, [LIMIT, POST, IOC, MARKET]] &= room.any(axis=1)[:, None]
    mask[:, CANCEL] = account["open"].any(axis=1)
    mask[:, len(KINDS) : len(KINDS) + 2] = room | ~room.any(axis=1)[:, None]
    return mask


def flattened(mask: NDArray[np.uint8], choices: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask of combinations, uint8 (B, product of choices), of one of choices (B, sum): legal where all parts are."""
    parts = np.split(mask, np.cumsum(choices)[:-1], axis=1)
    whole = parts[0]
    for part in parts[1:]:
        whole = (whole[:, :, None] & part[:, None]).reshape(len(mask), -1)
    return whole
