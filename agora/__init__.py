"""Agora: multi-agent economies as services. The contract in Python, for whoever plugs in an agent or a game."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agora.polling import poll_sockets

# Else gRPC writes a line about every peer that ends calls because it stops; it reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

if TYPE_CHECKING:
    from agora.agent import Agent
    from agora.serving import serve

__all__ = ["Agent", "serve"]

_HOMES = {"Agent": "agora.agent", "serve": "agora.serving"}


def __getattr__(name: str) -> Any:
    """Import what authors of agents need when they ask for it: most who import this package need neither."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    poll_sockets()
    return getattr(import_module(_HOMES[name]), name)
