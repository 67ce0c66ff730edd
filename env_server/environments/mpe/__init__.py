"""The particle environments of mpe2, many copies at once: the same numbers, about a thousand times faster."""

from env_server.environments.mpe.config import MpeConfig
from env_server.environments.mpe.env import Mpe

__all__ = ["Mpe", "MpeConfig"]
