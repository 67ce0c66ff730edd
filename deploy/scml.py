"""``agora scml``: hands its arguments on to the rooms that play the supply-chain league and read what it left."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

COMMANDS: Final = {
    "league": ("scml_engine", "league"),
    "official": ("scml_engine", "official"),
    "audit": ("analysis.scml.audit",),
    "analyze": ("analysis.scml",),
}
"""By subcommand: the module that is started, and the first of its arguments."""


def hand_on(command: str, arguments: Sequence[str]) -> NoReturn:
    """Become the command behind ``agora scml COMMAND``: help, signals and exit code are then its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", *COMMANDS[command], *arguments])  # noqa: S606  # no shell is meant
