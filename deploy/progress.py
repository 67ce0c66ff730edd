"""Shows a run's view again and again: drawn in place on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live

from deploy.view import View, line, table

DRAW_SECONDS = 0.25
LINE_SECONDS = 2.0


async def show(console: Console, view: Callable[[], View]) -> None:
    """Show until cancelled; what was last shown stays."""
    if console.is_terminal:
        await _draw(console, view)
    else:
        await _print(console, view)


async def _draw(console: Console, view: Callable[[], View]) -> None:
    with Live(table(view()), console=console, auto_refresh=False) as live:
        try:
            while True:
                await asyncio.sleep(DRAW_SECONDS)
                live.update(table(view()), refresh=True)
        finally:
            live.update(table(view()), refresh=True)


async def _print(console: Console, view: Callable[[], View]) -> None:
    shown, at = "", 0.0
    while True:
        now = view()
        said = line(now).partition(" · ")[2]  # without the clock: nothing new, nothing said
        if said != shown or time.monotonic() - at > 10 * LINE_SECONDS:
            console.print(line(now), soft_wrap=True, highlight=False, markup=False)
            shown, at = said, time.monotonic()
        await asyncio.sleep(LINE_SECONDS)
