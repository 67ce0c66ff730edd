"""Which release this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PROTOCOL_VERSION = 1
"""Of the contract in protos/agora/v1."""


def software() -> str:
    """Name and version, for people: ``agora 0.1.0``."""
    try:
        return f"agora {version('agora')}"
    except PackageNotFoundError:
        return "agora (not installed)"
