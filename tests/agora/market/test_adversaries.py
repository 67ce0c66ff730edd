"""What manipulators send in a given sight, by hand: the best bid is 9,998 and the best ask 10,002."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agora.market.layout import SIGHT, TRADER, Style
from agora.market.messages import MESSAGE, Kind
from agora.market.sending import BUY, MOST_MESSAGES, SELL
from agora.market.traders import decide

EARLY, LATE = 10, 150
"""Steps in the halves of a cycle of 200."""


def sight(step: int, shares: int, orders: tuple[tuple[int, int], ...] = (), **changes: float) -> Any:
    """A sight with own orders (side, price) of 50 lots, numbered from 1 on."""
    seen = np.zeros(1, SIGHT)
    seen["bid"], seen["ask"] = 9_998, 10_002
    seen["mid"] = seen["average"] = seen["signal"] = 10_000.0
    seen["step"], seen["shares"], seen["count"] = step, shares, len(orders)
    for place, (side, price) in enumerate(orders):
        seen["id"][0, place], seen["side"][0, place] = place + 1, side
        seen["price"][0, place], seen["size"][0, place] = price, 50
    for name, value in changes.items():
        seen[name] = value
    return seen[0]


def sent(style: Style, seen: Any, **changes: float) -> list[tuple[Any, ...]]:
    """Messages as ("CANCEL", id) or (kind, side, price, size)."""
    trader, messages = np.zeros(1, TRADER), np.zeros(MOST_MESSAGES, MESSAGE)
    settings = {"least": 3, "most": 3, "holding": 5, "take": 1.0, "threshold": 2.0, "away": 4.0, "period": 200}
    settings |= {"spoof": 200, **changes}
    for name, value in settings.items():
        trader[name] = value
    trader["style"] = style
    count = decide(seen, trader[0], np.uint64(1), messages)
    return [_words(message) for message in messages[:count]]


def _words(message: Any) -> tuple[Any, ...]:
    kind = Kind(message["kind"])
    if kind == Kind.CANCEL:
        return ("CANCEL", int(message["id"]))
    return (kind.name, *(int(message[name]) for name in ("side", "price", "size")))


def test_a_spoofer_collects_what_is_cheap_as_long_as_it_may_hold_it() -> None:
    cheap: dict[str, Any] = {"signal": 10_005.0}  # three ticks above the best ask
    assert sent(Style.SPOOFER, sight(EARLY, 0, **cheap)) == [("MARKET", BUY, 0, 3)]
    assert sent(Style.SPOOFER, sight(EARLY, 4, **cheap)) == [("MARKET", BUY, 0, 1)]
    assert sent(Style.SPOOFER, sight(EARLY, 5, **cheap)) == []
    assert sent(Style.SPOOFER, sight(EARLY, 4, **cheap), take=0.0) == []
    assert sent(Style.SPOOFER, sight(EARLY, 0, signal=10_004.0)) == []
    assert sent(Style.SPOOFER, sight(EARLY, 0, signal=10_005.0, ask=0)) == []


def test_a_spoofer_bids_one_tick_behind_the_best_bid() -> None:
    assert sent(Style.SPOOFER, sight(LATE, 5)) == [("LIMIT", BUY, 9_997, 200)]
    assert sent(Style.SPOOFER, sight(LATE, 5, ((BUY, 9_997),))) == []
    assert sent(Style.SPOOFER, sight(LATE, 5, ((BUY, 9_997),), bid=9_999)) == [
        ("CANCEL", 1),
        ("LIMIT", BUY, 9_998, 200),
    ]


def test_a_spoofer_sells_what_is_dear_from_behind_no_bid() -> None:
    dear: dict[str, Any] = {"signal": 9_995.0}  # three ticks below the best bid
    assert sent(Style.SPOOFER, sight(LATE, 5, ((BUY, 9_997),), **dear)) == [("CANCEL", 1), ("MARKET", SELL, 0, 3)]
    assert sent(Style.SPOOFER, sight(LATE, 2, **dear)) == [("MARKET", SELL, 0, 2)]
    assert sent(Style.SPOOFER, sight(LATE, 5, ((BUY, 9_997),), signal=9_996.0)) == []


def test_a_spoof_at_the_front_gives_way() -> None:
    assert sent(Style.SPOOFER, sight(LATE, 5, ((BUY, 9_998),))) == [("CANCEL", 1)]
    # Nobody bids: there is nothing to hide behind.
    assert sent(Style.SPOOFER, sight(LATE, 5, bid=0)) == []


@pytest.mark.parametrize(("step", "shares"), [(LATE, 0), (EARLY, 5)])
def test_a_spoof_is_cancelled_when_all_is_sold_and_when_the_next_cycle_begins(step: int, shares: int) -> None:
    assert sent(Style.SPOOFER, sight(step, shares, ((BUY, 9_997),))) == [("CANCEL", 1)]


def test_without_a_spoof_the_same_lots_are_traded() -> None:
    assert sent(Style.SPOOFER, sight(LATE, 5, signal=9_990.0), spoof=0) == [("MARKET", SELL, 0, 3)]
    assert sent(Style.SPOOFER, sight(LATE, 5), spoof=0) == []


def test_one_lot_is_enough_to_hide_and_to_be_hidden() -> None:
    assert sent(Style.SPOOFER, sight(LATE, 1)) == [("LIMIT", BUY, 9_997, 200)]
    assert sent(Style.SPOOFER, sight(LATE, 5), spoof=1) == [("LIMIT", BUY, 9_997, 1)]
    assert sent(Style.LAYERING, sight(LATE, 5), spoof=3) == []  # not even a lot for each of its prices
    # Nothing is bid for nothing: of four prices above 0 there are two.
    assert sent(Style.LAYERING, sight(LATE, 5, bid=3)) == [("LIMIT", BUY, 2, 50), ("LIMIT", BUY, 1, 50)]


def test_layers_lie_on_four_prices() -> None:
    prices = (9_997, 9_996, 9_995, 9_994)
    assert sent(Style.LAYERING, sight(LATE, 5)) == [("LIMIT", BUY, price, 50) for price in prices]
    held = tuple((BUY, price) for price in prices)
    assert sent(Style.LAYERING, sight(LATE, 5, held)) == []
    assert sent(Style.LAYERING, sight(LATE, 5, held, bid=9_999)) == [("CANCEL", 4), ("LIMIT", BUY, 9_998, 50)]


def test_layers_that_are_all_wrong_take_more_than_a_step() -> None:
    held = tuple((BUY, price) for price in (9_980, 9_979, 9_978, 9_977))
    cancelled = [("CANCEL", id_) for id_ in (1, 2, 3, 4)]
    assert sent(Style.LAYERING, sight(LATE, 5, held)) == [
        *cancelled,
        ("LIMIT", BUY, 9_997, 50),
        ("LIMIT", BUY, 9_996, 50),
    ]


def test_a_stuffer_uses_all_messages_and_cancels_all_that_it_sent() -> None:
    # Three ticks behind the best price of a side, then one more behind each time.
    assert sent(Style.QUOTE_STUFFING, sight(1, 0)) == [
        ("LIMIT", BUY, 9_995, 3),
        ("LIMIT", SELL, 10_005, 3),
        ("LIMIT", BUY, 9_994, 3),
        ("LIMIT", SELL, 10_006, 3),
        ("LIMIT", BUY, 9_993, 3),
        ("LIMIT", SELL, 10_007, 3),
    ]
    held = ((BUY, 9_994), (SELL, 10_006), (BUY, 9_993), (SELL, 10_007))
    messages = sent(Style.QUOTE_STUFFING, sight(1, 0, held))
    assert messages[:4] == [("CANCEL", id_) for id_ in (1, 2, 3, 4)] and len(messages) == MOST_MESSAGES


def test_who_ignites_buys_up_to_its_holding_and_then_offers() -> None:
    assert sent(Style.MOMENTUM_IGNITION, sight(EARLY, 3)) == [("MARKET", BUY, 0, 2)]
    assert sent(Style.MOMENTUM_IGNITION, sight(EARLY, 5)) == []
    assert sent(Style.MOMENTUM_IGNITION, sight(LATE, 5)) == [("LIMIT", SELL, 10_002, 3)]
    assert sent(Style.MOMENTUM_IGNITION, sight(LATE, 5, ((SELL, 10_002),))) == []
    assert sent(Style.MOMENTUM_IGNITION, sight(LATE, 0, ((SELL, 10_002),))) == [("CANCEL", 1)]


def test_who_hunts_stops_sells_until_the_price_is_where_they_lie() -> None:
    assert sent(Style.STOP_HUNTING, sight(EARLY, -3)) == [("MARKET", SELL, 0, 2)]
    # Four ticks below the average, with three lots to buy back.
    through: dict[str, Any] = {"mid": 9_996.0, "bid": 9_995}
    assert sent(Style.STOP_HUNTING, sight(EARLY, -3, **through)) == [("LIMIT", BUY, 9_995, 3)]
    assert sent(Style.STOP_HUNTING, sight(EARLY, 0, **through)) == []
    assert sent(Style.STOP_HUNTING, sight(LATE, -2)) == [("LIMIT", BUY, 9_998, 2)]
    assert sent(Style.STOP_HUNTING, sight(LATE, 0, ((BUY, 9_998),))) == [("CANCEL", 1)]


def test_the_protected_keep_a_stop_for_all_that_they_hold() -> None:
    entry = sent(Style.PROTECTED, sight(1, 0), cancel=0.0)
    assert [message[0] for message in entry] == ["MARKET"] and entry[0][3] == 3
    assert sent(Style.PROTECTED, sight(1, 3), cancel=0.0) == [("STOP", SELL, 9_996, 3)]
    assert sent(Style.PROTECTED, sight(1, -3), cancel=0.0) == [("STOP", BUY, 10_004, 3)]
    assert sent(Style.PROTECTED, sight(1, 3, ((SELL, 9_996),)), cancel=0.0) == []
    left = sent(Style.PROTECTED, sight(1, 3, ((SELL, 9_996),)), cancel=1.0)
    assert left == [("CANCEL", 1), ("MARKET", SELL, 0, 3)]
