"""One step of a market, compiled: the worth moves, messages arrive, and every agent acts once, in random order."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from agora.market.draws import below, keyed, mixed, normal
from agora.market.layout import OWN_ORDERS, WINDOW, Flow, Style
from agora.market.messages import Kind
from agora.market.traders import decide, wakes
from env_server.environments.market.book.messages import handle
from env_server.environments.market.book.phases import shift, turn
from env_server.environments.market.book.queues import called, delete, inlined
from env_server.environments.market.book.records import CASH, Feed, Lane, Phase
from env_server.environments.market.seats import make_quotes, send_order
from env_server.environments.market.state import AVERAGE, CHANGE, MEMORY

BID, ASK = int(Lane.BID), int(Lane.ASK)
AUCTION, CONTINUOUS, CLOSED = int(Phase.AUCTION), int(Phase.CONTINUOUS), int(Phase.CLOSED)
RESTED, EXECUTED, CROSSED = int(Feed.RESTED), int(Feed.EXECUTED), int(Feed.CROSSED)
BOUGHT, SEAT, NOISE, CANCEL = int(Flow.BOUGHT), int(Style.SEAT), int(Style.NOISE), int(Kind.CANCEL)
MAKER, SPOOFER = int(Style.MAKER), int(Style.SPOOFER)
UNIT: Final = CASH
FADING: Final = 0.98
"""What is left of an order flow after a step."""
LARGEST: Final = 1e12
CALM: Final = (0.8, 0.97, 0.997)
"""Weights of the past in the volatilities of about 5, 30 and 300 steps, as short and long memory add up to that of real
markets (Corsi 2009, "A simple approximate long-memory model of realized volatility")."""
WORTH_DRAW: Final = 0
"""Draws 0 and 1 of a step's key move the worth; agents have keys of their own."""


@inlined
def look(market: Any, agent: int) -> None:
    """Fill in what an agent sees of the book and of its own orders; orders that are gone are forgotten."""
    book, sight, ids = market.book, market.sight, market.ids[agent]
    sight.bid = book.best[BID] if book.count[BID] else 0
    sight.ask = book.best[ASK] if book.count[ASK] else 0
    if market.settings.anchored:
        sight.mid = math.floor(market.worth + 0.5)
    elif sight.bid and sight.ask:
        sight.mid = 0.5 * (sight.bid + sight.ask)
    sight.shares = book.accounts[agent].shares
    count, slots = 0, len(book.orders) - 1
    for place in range(OWN_ORDERS):  # Without branches, which nothing could predict.
        id_ = ids[place]
        sight.id[count] = ids[count] = id_
        count += (id_ != 0) & (book.resting[id_ & slots] == id_)
    for place in range(count, OWN_ORDERS):
        ids[place] = 0
    sight.count = count


@inlined
def recall(market: Any) -> None:
    """Fill in what the own orders are like, for those who ask: seats, makers and manipulators."""
    book, sight = market.book, market.sight
    for place in range(sight.count):
        order = book.orders[sight.id[place] & (len(book.orders) - 1)]
        sight.side[place], sight.price[place], sight.size[place] = order.lane & 1, order.price, order.size


@inlined
def remember(market: Any, agent: int, id_: int) -> None:
    """Keep track of an agent's order; the oldest of too many is cancelled."""
    ids, book = market.ids[agent], market.book
    slots = len(book.orders) - 1
    if book.resting[id_ & slots] != id_:
        return
    place = 0
    for at in range(OWN_ORDERS):
        place += ids[at] != 0
    if place == OWN_ORDERS:
        slot = ids[0] & slots
        if book.resting[slot] == ids[0]:
            delete(book, slot)
        for later in range(1, OWN_ORDERS):
            ids[later - 1] = ids[later]
        place = OWN_ORDERS - 1
    ids[place] = id_


@called
def deliver(market: Any, message: Any) -> None:
    """Let a message arrive."""
    agent = message.agent
    handle(market.book, message, market.result)
    if market.result.id and message.kind < CANCEL:
        remember(market, agent, market.result.id)


@inlined
def send(market: Any, agent: int, count: int) -> None:
    """Send an agent's messages: they arrive at once, or after its delay."""
    delay = market.delays[agent]
    for place in range(count):
        message = market.messages[place]
        message.agent = agent
        if delay == 0:
            deliver(market, message)
        else:
            due = (market.step + delay) % len(market.count)
            market.waiting[due, market.count[due]] = message
            market.count[due] += 1


@inlined
def arrive(market: Any) -> None:
    """Deliver what is due."""
    due = market.step % len(market.count)
    for place in range(market.count[due]):
        deliver(market, market.waiting[due, place])
    market.count[due] = 0


@inlined
def rouse(market: Any, key: np.uint64) -> int:
    """Write who acts, in the agents' order; returns how many. Only the past counts, so all are asked before any acts.

    A noise trader whose messages are late looks in every step, so that what is gone by then is forgotten.
    """
    agents, count, first = market.settings.agents, 0, 0
    for agent in range(agents):
        market.keys[agent] = mixed(key ^ market.salts[agent])
    for part in range(market.settings.parts):
        trader, end = market.traders[part], market.ends[part]
        always = trader.style == SEAT or (trader.style == NOISE and market.delays[first] > 0)
        for agent in range(first, end):
            market.awake[agent] = always | wakes(market.sight, trader, market.keys[agent])
        first = end
    for agent in range(agents):
        market.acting[count] = agent
        count += market.awake[agent]
    return count


@inlined
def shuffle(market: Any, count: int) -> None:
    """Draw the order of turns of those who act (Fisher and Yates)."""
    acting = market.acting
    for last in range(count):
        agent = acting[last]
        other = below(market.keys[agent], last + 1)
        acting[last], acting[other] = acting[other], agent


@inlined
def read_feed(market: Any) -> None:
    """What was sent and what traded since the last step: in all, and by price, where new flow outweighs old."""
    book, keeps = market.book, market.settings.flow
    market.volume = market.flow = 0
    market.since = max(0, book.fed - len(book.feed))
    for number in range(market.since, book.fed):
        event = book.feed[number & (len(book.feed) - 1)]
        executed, crossed = event.kind == EXECUTED, event.kind == CROSSED
        market.volume += event.size * (executed | crossed)
        market.flow += event.size * (2 * event.lane - 1) * executed
        if keeps and executed:
            add_flow(market, 1 - event.lane, event.price, event.size)
            add_flow(market, BOUGHT + event.lane, event.price, event.size)
            add_flow(market, BOUGHT + 1 - event.lane, event.price, event.size)
        elif keeps and event.kind == RESTED and event.lane <= ASK:
            add_flow(market, event.lane, event.price, event.size)
    if keeps:
        fade(market)


@inlined
def add_flow(market: Any, row: int, price: int, size: int) -> None:
    """Add lots at a price to the flow."""
    market.sight.flow[row, price & (WINDOW - 1)] += size * market.growth


@inlined
def fade(market: Any) -> None:
    """Let flow fade: instead of shrinking the old, the new is weighted more, until the numbers are too large."""
    flow = market.sight.flow
    market.growth /= FADING
    if market.growth > LARGEST:
        for row in range(flow.shape[0]):
            for at in range(WINDOW):
                flow[row, at] /= market.growth
        market.growth = 1.0


@inlined
def summarise(market: Any) -> None:
    """What the step was to those who look back."""
    sight, step = market.sight, market.step
    previous = market.mids[(step - 1) & (MEMORY - 1)]
    market.sum += sight.mid - market.mids[(step - AVERAGE) & (MEMORY - 1)]
    market.mids[step & (MEMORY - 1)] = sight.mid
    sight.average = market.sum / AVERAGE
    sight.change = sight.mid / market.mids[(step - CHANGE) & (MEMORY - 1)] - 1.0
    sight.volatility = 0.0
    for scale in range(len(CALM)):
        market.volatilities[scale] += (1.0 - CALM[scale]) * (abs(sight.mid - previous) - market.volatilities[scale])
        sight.volatility += market.volatilities[scale] / len(CALM)


@inlined
def follow_price(market: Any) -> None:
    """Move the ladder when the price leaves its middle half."""
    book = market.book
    prices, at = book.levels.shape[1], int(market.sight.mid) - book.base
    if at < prices // 4 or at >= 3 * prices // 4:
        shift(book, max(1, int(market.sight.mid) - prices // 2))


@inlined
def turn_phase(market: Any) -> None:
    """Open and close."""
    settings, step = market.settings, market.step
    if step == settings.opening:
        turn(market.book, CONTINUOUS)
    elif settings.closing and step == settings.steps - 1:
        turn(market.book, AUCTION)
    elif settings.closing and step == settings.steps:
        turn(market.book, CLOSED)


@called
def advance(market: Any, actions: Any, rewards: Any) -> None:
    """Take one step.

    Args:
        market: one record.
        actions: int64 (seats, choices), see ``seats``.
        rewards: float64 (seats,), written: change of cash and shares at the middle price, in ticks times lots, less
            the inventory penalty.
    """
    settings, sight = market.settings, market.sight
    market.step += 1
    sight.step = market.step
    key = keyed(market.key, market.step)
    market.worth += settings.reversion * (settings.mean - market.worth)
    market.worth = max(1.0, market.worth + settings.volatility * normal(key, WORTH_DRAW))
    sight.signal = market.worth
    market.book.fed = 0  # So that a step's events lie where those of the last one did, in the cache.
    arrive(market)
    count = rouse(market, key)
    shuffle(market, count)
    for place in range(count):
        agent = market.acting[place]
        trader = market.traders[market.part[agent]]
        look(market, agent)
        if trader.style == SEAT or trader.style == MAKER or trader.style >= SPOOFER:
            recall(market)
        if trader.style == SEAT:
            if agent < settings.makers:
                sent = make_quotes(sight, trader, actions[agent], market.messages)
            else:
                sent = send_order(sight, actions[agent], market.messages)
        else:
            sent = decide(sight, trader, market.keys[agent], market.messages)
        send(market, agent, sent)
    turn_phase(market)
    look(market, 0)
    summarise(market)
    follow_price(market)
    read_feed(market)
    for seat in range(len(rewards)):
        account = market.book.accounts[seat]
        equity = account.cash / UNIT + account.shares * sight.mid
        rewards[seat] = equity - market.equity[seat] - settings.penalty * account.shares * account.shares
        market.equity[seat] = equity
