"""Configuration of hosted PettingZoo environments."""

from __future__ import annotations

from pydantic import Field

from agora.settings import Seconds
from env_server.environments.base import EnvironmentConfig


class PettingZooConfig(EnvironmentConfig):
    """Configuration of any PettingZoo environment."""

    source: str = Field(
        max_length=4096,
        description="MODULE?KEY=VALUE&... or MODULE:FACTORY?KEY=VALUE&..., as in the name behind 'pettingzoo:'; values "
        "are JSON where they can be read as such, else strings; without FACTORY it is parallel_env, or else env",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=256,
        description="processes that play the copies, at most one a copy; none: as many as processors",
    )
    patience: Seconds = Field(120.0, description="seconds that a process may take to play its copies on")
