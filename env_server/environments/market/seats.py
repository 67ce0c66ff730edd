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
)
from agora.market.draws import compiled
from agora.market.sending import add, drop_all, quote
from env_server.environments.market.book.records import Phase

CONTINUOUS = int(Phase.CONTINUOUS)


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


@compiled
def write_quotes_mask(book: Any, seat: int, mask: Any) -> None:
    """Write which choices of a maker the market would not reject as they are, uint8 (sum of MAKER_CHOICES,)."""
    account = book.accounts[seat]
    mask[:] = 1
    for side in range(2):
        first = side * MAKER_CHOICES[0]
        mask[first : first + NO_QUOTE] = account.shares * (1 - 2 * side) < account.limit


@compiled
def write_orders_mask(book: Any, seat: int, mask: Any) -> None:
    """Write which choices of a trader the market would not reject as they are, uint8 (sum of TRADER_CHOICES,)."""
    account = book.accounts[seat]
    buys = account.shares + account.open[0] < account.limit
    sells = account.open[1] - account.shares < account.limit
    mask[:] = 1
    mask[LIMIT] = buys or sells
    mask[POST] = mask[IOC] = mask[MARKET] = (buys or sells) and book.phase == CONTINUOUS
    mask[CANCEL] = account.open[0] > 0 or account.open[1] > 0
    mask[len(KINDS)], mask[len(KINDS) + 1] = buys or not sells, sells or not buys


def flattened(mask: NDArray[np.uint8], choices: tuple[int, ...]) -> NDArray[np.uint8]:
    """A mask of combinations, uint8 (B, product of choices), of one of choices (B, sum): legal where all parts are."""
    parts = np.split(mask, np.cumsum(choices)[:-1], axis=1)
    whole = parts[0]
    for part in parts[1:]:
        whole = (whole[:, :, None] & part[:, None]).reshape(len(mask), -1)
    return whole
