"""Commands that are programs of other rooms: ``agora`` hands its arguments on to them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

COMMANDS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "scml": {
        "league": ("scml_engine", "league"),
        "official": ("scml_engine", "official"),
        "audit": ("analysis.scml.audit",),
        "analyze": ("analysis.scml",),
    },
    "market": {name: ("analysis.market", name) for name in ("facts", "quality", "replay")},
}
"""By command and subcommand: the module that is started, and the first of its arguments."""


def hand_on(command: str, subcommand: str, arguments: Sequence[str]) -> NoReturn:
    """Become the program behind ``agora COMMAND SUBCOMMAND``: help, signals and exit code are then its own."""
    sys.stdout.flush()
    words = [sys.executable, "-m", *COMMANDS[command][subcommand], *arguments]
    os.execv(sys.executable, words)  # noqa: S606  # no shell is meant
