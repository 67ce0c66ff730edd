"""How this project speaks in a terminal: what people named is shown letter by letter."""

from __future__ import annotations

import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def console(*, stderr: bool = False, file: IO[str] | None = None, width: int | None = None) -> Console:
    """A terminal in which neither brackets nor colons in a text mean anything: a path may well have some."""
    from rich.console import Console  # not before there is something to say

    return Console(stderr=stderr, file=file, width=width, markup=False, emoji=False, highlight=False)


def complain(text: str) -> None:
    """Say on stderr what went wrong."""
    console(stderr=True).print(text, style="red", soft_wrap=True)


def write_what_can_be_written() -> None:
    """Let the process's output replace letters that its encoding lacks, instead of failing on them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
