"""An order-book market: price-time priority, scripted traders, and seats for agents."""

from env_server.environments.market.config import MarketConfig
from env_server.environments.market.env import Market

__all__ = ["Market", "MarketConfig"]
