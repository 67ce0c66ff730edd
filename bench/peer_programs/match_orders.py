"""Plays recorded messages through other people's matching engines; runs in ``.peers/engines``.

``match_orders.py STREAM ENGINE COUNT`` reads messages (a .npy file with fields kind, agent, side, price, size and id,
and ``made``, the id of the order that ours made) and prints CPU seconds and trades as JSON. Only the first COUNT
messages are played, of which limit orders, market orders and cancels are sent.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta

import numpy as np

Rows = list[tuple[int, ...]]

LIMIT, MARKET, CANCEL = 1, 6, 8


def light(rows: Rows) -> tuple[float, int]:
    """lightmatchingengine: a dictionary of lists; its market orders have price 0."""
    from lightmatchingengine.lightmatchingengine import LightMatchingEngine, Side

    engine, theirs, trades = LightMatchingEngine(), {}, 0
    began = time.process_time()
    for kind, _, side, price, size, target, made in rows:
        if kind == CANCEL:
            try:
                engine.cancel_order(theirs[target], "")
            except (AssertionError, KeyError):  # traded already, or never rested
                continue
        else:
            order, done = engine.add_order(
                "", price if kind == LIMIT else 0, size, Side.BUY if side == 0 else Side.SELL
            )
            theirs[made] = order.order_id
            trades += len(done) // 2
    return time.process_time() - began, trades


def matching(rows: Rows) -> tuple[float, int]:
    """order-matching: orders with times, placed and matched one by one."""
    from loguru import logger
    from order_matching.enums import Side
    from order_matching.matching_engine import MatchingEngine
    from order_matching.order import LimitOrder, MarketOrder
    from order_matching.orders import Orders

    logger.remove()
    engine, trades, now = MatchingEngine(seed=1), 0, datetime(2024, 1, 1)
    began = time.process_time()
    for kind, agent, side, price, size, target, made in rows:
        now += timedelta(milliseconds=1)
        if kind == CANCEL:
            try:
                engine.cancel_order(str(target))
            except ValueError:  # traded already
                continue
        else:
            about = {
                "side": Side.BUY if side == 0 else Side.SELL,
                "size": float(size),
                "timestamp": now,
                "order_id": str(made),
                "trader_id": str(agent),
            }
            order = LimitOrder(price=float(price), **about) if kind == LIMIT else MarketOrder(**about)
            engine.place(Orders([order]))
        trades += len(engine.match(timestamp=now).trades)
    return time.process_time() - began, trades


if __name__ == "__main__":
    stream, name, count = sys.argv[1:]
    messages = np.load(stream)[: int(count)]
    seconds, traded = {"lightmatchingengine": light, "order-matching": matching}[name](messages.tolist())
    print(json.dumps({"seconds": seconds, "trades": traded}))
