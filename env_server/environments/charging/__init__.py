"""The charging game: stations compete by the price of a kWh in each period of a day."""

from env_server.environments.charging.config import ChargingConfig
from env_server.environments.charging.env import Charging

__all__ = ["Charging", "ChargingConfig"]
