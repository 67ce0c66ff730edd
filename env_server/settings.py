"""What an environment server may be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agora.service import Listening


@dataclass(frozen=True)
class EnvironmentServerSettings:
    """Serve environments and rollouts over gRPC."""

    where: Listening = field(default_factory=Listening)
    log_directory: Path | None = None
    """Where trajectories are logged as Parquet; without it, collections that ask for a log are refused."""
    workers: int = 2
    """Threads in which environments compute."""
