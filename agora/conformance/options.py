"""What ``agora check`` may be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro
from tyro.conf import Positional

Pattern = Annotated[str, tyro.conf.arg(aliases=["-k"])]


@dataclass(frozen=True)
class AgentOptions:
    """What the suite for agents is told."""

    address: Positional[str] = ""
    """HOST:PORT or unix:PATH of the agent service."""
    join: str = ""
    """HOST:PORT to listen on for an agent that dials in."""
    name: str = "agent"
    """The name under which it joins."""
    token: str = ""
    """The token that it shows."""
    spaces_of: tuple[str, str] | None = None
    """ADDRESS GAME: try it on the spaces of this game of a running environment server, before those built in."""
    pattern: Pattern = ""
    """Run only cases whose name (topic.case) contains this."""
    timeout: float = 5.0
    """Seconds to wait for each answer."""
    json: bool = False
    """Print JSON instead of tables."""


@dataclass(frozen=True)
class EnvironmentOptions:
    """What the suite for environment servers is told."""

    address: Positional[str]
    """HOST:PORT or unix:PATH of the environment server."""
    environment: str = "charging"
    """The game."""
    config: str = "{}"
    """The game's configuration, a JSON object; short episodes make a short check."""
    pattern: Pattern = ""
    """Run only cases whose name (topic.case) contains this."""
    timeout: float = 20.0
    """Seconds to wait for each answer; building the game may take longer."""
    json: bool = False
    """Print JSON instead of tables."""
