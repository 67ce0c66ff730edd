"""Tools that some tests need and an installation need not have. What was skipped for want of one is told at the end.

``tests/conftest.py`` counts the skips whose reason starts with ``NEEDS``, and makes failures of them where CI is set.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.processes import ROOT

NEEDS = "needs "
CHROMIUM = Path(shutil.which("chromium") or "/usr/bin/chromium")
MLSERVER = ROOT / ".peers" / "mlserver" / "bin" / "mlserver"
OPENENV = ROOT / ".peers" / "openenv" / "bin"
HOW = {
    "Chromium": "apt-get install chromium",
    "MLServer": "make peers PEERS=mlserver",
    "Node": "apt-get install nodejs npm",
    "OpenEnv": "make peers PEERS=openenv",
}
"""Tool → the command that brings it; ``make tools`` brings them all."""


def missing(tool: str) -> bool:
    """Whether a tool out of ``HOW`` is not installed."""
    if tool == "Node":
        return shutil.which("npm") is None
    return not {"Chromium": CHROMIUM, "MLServer": MLSERVER, "OpenEnv": OPENENV}[tool].exists()


def reason(tool: str) -> str:
    """Why a test is skipped."""
    return f"{NEEDS}{tool}: {HOW[tool]}"


def needs(tool: str) -> pytest.MarkDecorator:
    """The mark of tests that are skipped where a tool is missing."""
    return pytest.mark.skipif(missing(tool), reason=reason(tool))


def require(tool: str) -> None:
    """Skip the test or module that is running where a tool is missing."""
    if missing(tool):
        pytest.skip(reason(tool), allow_module_level=True)
