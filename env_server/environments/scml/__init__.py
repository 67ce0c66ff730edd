"""Supply-chain negotiation (SCML Standard): factories that buy, produce and sell, one negotiation per partner a day."""

from env_server.environments.scml.env import Scml

__all__ = ["Scml"]
