"""Any PettingZoo environment, in as many copies as wanted, played by processes of its own."""

from env_server.environments.pettingzoo.env import PettingZoo

__all__ = ["PettingZoo"]
