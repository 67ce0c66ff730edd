"""The rules of a book."""

from __future__ import annotations

from pydantic import Field

from agora.settings import Settings
from env_server.environments.market.book.records import MAX_PRICE, SelfTrade


class Rules(Settings):
    """What is fixed while a market is open. Prices in ticks, sizes in lots."""

    accounts: int = Field(64, ge=1, le=65_536, description="agents")
    base: int = Field(1, ge=1, lt=MAX_PRICE, description="lowest price of the ladder")
    prices: int = Field(1024, ge=2, le=65_536, description="of the ladder; a power of two")
    slots: int = Field(1024, ge=2, le=65_536, description="orders that can rest; a power of two")
    events: int = Field(4096, ge=2, description="that the feed keeps; a power of two")
    maker_fee: int = Field(0, description="thousandths of a tick per lot that the resting side pays; below 0: a rebate")
    taker_fee: int = Field(0, description="the same of the incoming side")
    self_trade: SelfTrade = Field(SelfTrade.CANCEL_RESTING, description="where an agent's order meets its own")
    position_limit: int = Field(2**40, ge=0, description="lots that an agent may hold or owe, open orders included")
