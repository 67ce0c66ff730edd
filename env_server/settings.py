"""What an environment server may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from agora.service import Listening


@dataclass(frozen=True)
class GatewaySettings:
    """Doors for clients of other protocols, each of which acts for one agent of a game."""

    dm_env_rpc: str | None = None
    """Address of the dm_env_rpc v1 endpoint, HOST:PORT or unix:PATH; without it there is none."""
    openenv: str | None = None
    """Address of the OpenEnv endpoint, HOST:PORT; without it there is none."""
    gateway_environment: str = "charging"
    """The game that these clients find."""
    gateway_config: str = "{}"
    """Its configuration, a JSON object."""
    gateway_agent: str | None = None
    """Who such a client is; without it, the first agent."""
    gateway_seats: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """AGENT=ADDRESS[,ADDRESS...], repeated: who answers for another agent; "*" is all that are not named otherwise."""
    gateway_idle_seconds: float = 300.0
    """Seconds that an OpenEnv client may be silent before it loses its game."""


@dataclass(frozen=True)
class EnvironmentServerSettings:
    """Serve environments and rollouts over gRPC."""

    where: Listening = field(default_factory=Listening)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    log_directory: Path | None = None
    """Where trajectories are logged as Parquet; without it, collections that ask for a log are refused."""
    lobby_tokens: Path | None = None
    """YAML file of lines NAME: TOKEN, for agents that dial in; without it, nobody can."""
    lobby_listen: str | None = None
    """Address at which they dial in and reach nothing else, HOST:PORT or unix:PATH; without it, the server's own."""
    workers: int = 2
    """Threads in which environments compute."""
    game: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """NAME=MODULE:CLASS, repeated: an Environment class of your own, under a name in the server's table."""
    pettingzoo_module: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Module, repeated: PettingZoo environments may come from it and from those below, besides the published ones of
    PettingZoo and MPE2."""
    max_sessions: int = 64
    """Sessions that drivers may hold at a time; whoever comes then is refused."""
