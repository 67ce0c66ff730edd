"""The same market in plain Python: the oracle that the compiled engine is held against.

It shares the engine's constants and rules of numbering (an id whose slot a resting order has is skipped), and nothing
else: queues are dictionaries, and every total is counted anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agora.market.messages import MAX_SIZE, Kind, Reason
from env_server.environments.market.book.records import CASH, Feed, Lane, Phase, SelfTrade
from env_server.environments.market.book.rules import Rules

NEW: Final = range(Kind.LIMIT, Kind.STOP + 1)
Event = tuple[int, int, int, int, int, int, int, int]
"""id, other, price, size, agent, other_agent, kind, lane."""


@dataclass
class Order:
    """An order that rests or arrives."""

    id: int
    agent: int
    lane: int
    price: int
    size: int
    kind: int


@dataclass
class Account:
    """What an agent has."""

    cash: int = 0
    shares: int = 0
    fees: int = 0
    volume: int = 0
    rejected: int = 0
    reason: int = 0


@dataclass
class Oracle:
    """One book by its rules."""

    rules: Rules
    base: int = 0
    phase: int = Phase.CONTINUOUS
    last: int = 0
    collected: int = 0
    next_id: int = 1
    feed: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.base = self.rules.base
        self.accounts = [Account() for _ in range(self.rules.accounts)]
        self.orders: dict[int, Order] = {}
        self.lanes: tuple[dict[int, dict[int, Order]], ...] = ({}, {}, {}, {})
        """Resting orders, and per lane the same by price in order of arrival."""
        self.taken: set[int] = set()
        """Their slots."""

    def front(self, lane: int) -> int | None:
        """The price that trades first."""
        prices = self.lanes[lane]
        if not prices:
            return None
        return min(prices) if lane in (Lane.ASK, Lane.BUY_STOP) else max(prices)

    def open(self, agent: int, side: int) -> int:
        """Lots of an agent's resting orders on a side."""
        return sum(o.size for o in self.orders.values() if o.agent == agent and o.lane & 1 == side)

    def handle(self, kind: int, agent: int, side: int, price: int, size: int, id_: int) -> tuple[int, int, int]:
        """Do what a message says; returns (id, filled, reason) as the engine does."""
        if kind == Kind.NOTHING:
            return 0, 0, 0
        if not 0 <= agent < len(self.accounts):
            return 0, 0, Reason.BAD_AGENT
        if kind in NEW:
            done = self._new(kind, agent, side, price, size)
        elif Kind.CANCEL <= kind <= Kind.REPLACE:
            done = self._amend(kind, agent, price, size, id_)
        else:
            done = 0, 0, Reason.BAD_KIND
        if done[2]:
            self.accounts[agent].rejected += 1
            self.accounts[agent].reason = done[2]
        else:
            self._trigger()
        return done

    def turn(self, phase: int) -> None:
        """Enter a phase."""
        if phase == Phase.CONTINUOUS or (phase == Phase.CLOSED and self.phase == Phase.AUCTION):
            self._uncross()
        self.phase = phase
        if phase == Phase.CLOSED:
            self._purge(lambda order: order.kind == Kind.DAY)
        self._trigger()

    def shift(self, base: int) -> None:
        """Move the ladder."""
        self.base = base
        self._purge(lambda order: not self._on_ladder(order.price))

    def _purge(self, which: Callable[[Order], bool]) -> None:
        """Cancel orders, in the order of their slots."""
        for order in sorted(self.orders.values(), key=lambda order: order.id % self.rules.slots):
            if which(order):
                self._lessen(order, order.size)

    def _on_ladder(self, price: int) -> bool:
        return self.base <= price < self.base + self.rules.prices

    def _crosses(self, side: int, price: int) -> bool:
        best = self.front(1 - side)
        return best is not None and (best <= price if side == 0 else best >= price)

    def _beyond(self, agent: int, side: int, more: int) -> bool:
        position = self.accounts[agent].shares * (1 if side == 0 else -1)
        return position + self.open(agent, side) + more > self.rules.position_limit

    def _new(self, kind: int, agent: int, side: int, price: int, size: int) -> tuple[int, int, int]:
        reason = self._refusal(kind, agent, side, price, size)
        return (0, 0, reason) if reason else self._enter(kind, agent, side, price, size)

    def _refusal(self, kind: int, agent: int, side: int, price: int, size: int) -> int:
        if side not in (0, 1):
            return Reason.BAD_SIDE
        if not 0 < size <= MAX_SIZE:
            return Reason.BAD_SIZE
        if kind != Kind.MARKET and not self._on_ladder(price):
            return Reason.OFF_LADDER
        if self._beyond(agent, side, size):
            return Reason.POSITION_LIMIT
        if len(self.orders) >= self.rules.slots:
            return Reason.BOOK_FULL
        rests = kind in (Kind.LIMIT, Kind.DAY, Kind.STOP)
        if not (self.phase == Phase.CONTINUOUS or (self.phase == Phase.AUCTION and rests)):
            return Reason.WRONG_PHASE
        if kind == Kind.POST and self._crosses(side, price):
            return Reason.WOULD_TRADE
        if kind == Kind.FOK and not self._fills(agent, side, price, size):
            return Reason.NOT_FILLED
        return 0

    def _fills(self, agent: int, side: int, limit: int, size: int) -> bool:
        """Whether an order would trade all its lots: others' that come before its own where those end it."""
        stopped = self.rules.self_trade in (SelfTrade.CANCEL_INCOMING, SelfTrade.DECREMENT)
        lots = 0
        for price in sorted(self.lanes[1 - side], reverse=side == 1):
            for order in self.lanes[1 - side][price].values():
                own = order.agent == agent and self.rules.self_trade != SelfTrade.ALLOWED
                if lots >= size or (price > limit if side == 0 else price < limit) or (own and stopped):
                    return lots >= size
                lots += 0 if own else order.size
        return lots >= size

    def _enter(self, kind: int, agent: int, side: int, price: int, size: int) -> tuple[int, int, int]:
        id_ = self.next_id
        while id_ % self.rules.slots in self.taken:
            id_ += 1
        self.next_id = id_ + 1
        if kind == Kind.STOP:
            self._rest(Order(id_, agent, Lane.BUY_STOP + side, price, size, kind))
            return id_, 0, 0
        filled = 0
        if self.phase == Phase.CONTINUOUS:
            size, filled = self._match(id_, agent, side, None if kind == Kind.MARKET else price, size)
        if size and kind in (Kind.LIMIT, Kind.DAY, Kind.POST):
            self._rest(Order(id_, agent, side, price, size, kind))
        return id_, filled, 0

    def _match(self, id_: int, agent: int, side: int, limit: int | None, size: int) -> tuple[int, int]:
        filled = 0
        while size:
            best = self.front(1 - side)
            if best is None or (limit is not None and not self._crosses(side, limit)):
                break
            order = next(iter(self.lanes[1 - side][best].values()))
            traded = min(size, order.size)
            mode = self.rules.self_trade
            if order.agent == agent and mode != SelfTrade.ALLOWED:
                if mode == SelfTrade.CANCEL_RESTING:
                    self._lessen(order, order.size)
                elif mode == SelfTrade.CANCEL_INCOMING:
                    size = 0
                else:
                    size -= traded
                    self._lessen(order, traded)
                continue
            buyer, seller = (agent, order.agent) if side == 0 else (order.agent, agent)
            self._pay(buyer, seller, best, traded)
            self._charge(order.agent, self.rules.maker_fee * traded)
            self._charge(agent, self.rules.taker_fee * traded)
            self._tell(order, Feed.EXECUTED, traded, id_, agent)
            self._shrink(order, traded)
            size -= traded
            filled += traded
        return size, filled

    def _pay(self, buyer: int, seller: int, price: int, size: int) -> None:
        for agent, sign in ((buyer, 1), (seller, -1)):
            account = self.accounts[agent]
            account.cash -= sign * price * size * CASH
            account.shares += sign * size
            account.volume += size
        self.last = price

    def _charge(self, agent: int, fee: int) -> None:
        self.accounts[agent].cash -= fee
        self.accounts[agent].fees += fee
        self.collected += fee

    def _amend(self, kind: int, agent: int, price: int, size: int, id_: int) -> tuple[int, int, int]:
        order = self.orders.get(id_)
        if order is None:
            return 0, 0, Reason.UNKNOWN_ORDER
        if order.agent != agent:
            return 0, 0, Reason.NOT_YOURS
        if kind == Kind.CANCEL:
            self._lessen(order, order.size)
        elif kind == Kind.REDUCE:
            if size <= 0:
                return id_, 0, Reason.BAD_SIZE
            self._lessen(order, min(size, order.size))
        else:
            return self._replace(order, price, size)
        return id_, 0, 0

    def _replace(self, order: Order, price: int, size: int) -> tuple[int, int, int]:
        reason = self._no_replacement(order, price, size)
        if reason:
            return order.id, 0, reason
        if price == order.price and size <= order.size:
            if size < order.size:
                self._lessen(order, order.size - size)
            return order.id, 0, 0
        self._lessen(order, order.size)
        return self._enter(order.kind, order.agent, order.lane, price, size)

    def _no_replacement(self, order: Order, price: int, size: int) -> int:
        if order.lane > Lane.ASK:
            return Reason.BAD_KIND
        if not 0 < size <= MAX_SIZE:
            return Reason.BAD_SIZE
        if not self._on_ladder(price):
            return Reason.OFF_LADDER
        if self._beyond(order.agent, order.lane, size - order.size):
            return Reason.POSITION_LIMIT
        if self.phase not in (Phase.CONTINUOUS, Phase.AUCTION):
            return Reason.WRONG_PHASE
        if order.kind == Kind.POST and self._crosses(order.lane, price):
            return Reason.WOULD_TRADE
        return 0

    def _trigger(self) -> None:
        while self.last and self.phase == Phase.CONTINUOUS:
            buy, sell = self.front(Lane.BUY_STOP), self.front(Lane.SELL_STOP)
            if buy is not None and buy <= self.last:
                lane, price = Lane.BUY_STOP, buy
            elif sell is not None and sell >= self.last:
                lane, price = Lane.SELL_STOP, sell
            else:
                return
            order = next(iter(self.lanes[lane][price].values()))
            size = order.size
            self._tell(order, Feed.TRIGGERED, size)
            self._shrink(order, size)
            self._match(order.id, order.agent, lane & 1, None, size)

    def _uncross(self) -> None:
        while self._crossed():
            price = self._clearing_price()
            while self._crossed(price):
                bid = next(iter(self.lanes[Lane.BID][max(self.lanes[Lane.BID])].values()))
                ask = next(iter(self.lanes[Lane.ASK][min(self.lanes[Lane.ASK])].values()))
                size = min(bid.size, ask.size)
                if bid.agent == ask.agent and self.rules.self_trade:
                    self._lessen(bid, size)
                    self._lessen(ask, size)
                    continue
                self._pay(bid.agent, ask.agent, price, size)
                self._tell(bid, Feed.CROSSED, size, ask.id, ask.agent, price)
                self._shrink(bid, size)
                self._shrink(ask, size)

    def _crossed(self, price: int | None = None) -> bool:
        bid, ask = self.front(Lane.BID), self.front(Lane.ASK)
        if bid is None or ask is None:
            return False
        return bid >= ask if price is None else bid >= price >= ask

    def _clearing_price(self) -> int:
        bids = [(o.price, o.size) for o in self.orders.values() if o.lane == Lane.BID]
        asks = [(o.price, o.size) for o in self.orders.values() if o.lane == Lane.ASK]
        low, high = min(price for price, _ in asks), max(price for price, _ in bids)
        near = self.last or (low + high) // 2

        def merit(price: int) -> tuple[int, int, int, int]:
            demand = sum(size for limit, size in bids if limit >= price)
            supply = sum(size for limit, size in asks if limit <= price)
            return -min(demand, supply), abs(demand - supply), abs(price - near), price

        return min(range(low, high + 1), key=merit)

    def _rest(self, order: Order) -> None:
        self.orders[order.id] = order
        self.taken.add(order.id % self.rules.slots)
        self.lanes[order.lane].setdefault(order.price, {})[order.id] = order
        self._tell(order, Feed.RESTED, order.size)

    def _lessen(self, order: Order, size: int) -> None:
        """Take lots off an order, and tell."""
        self._tell(order, Feed.DELETED if size == order.size else Feed.REDUCED, size)
        self._shrink(order, size)

    def _shrink(self, order: Order, size: int) -> None:
        order.size -= size
        if order.size:
            return
        del self.orders[order.id]
        self.taken.remove(order.id % self.rules.slots)
        queue = self.lanes[order.lane][order.price]
        del queue[order.id]
        if not queue:
            del self.lanes[order.lane][order.price]

    def _tell(self, o: Order, kind: int, size: int, other: int = 0, agent: int = 0, price: int | None = None) -> None:
        self.feed.append((o.id, other, o.price if price is None else price, size, o.agent, agent, int(kind), o.lane))
