"""Nobody waits without a word: what takes longer than a moment is said, and said again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

FIRST_SECONDS, LAST_SECONDS = 5.0, 60.0
"""Until a wait is told, and between two tellings of a long one."""


@asynccontextmanager
async def waiting(
    what: Callable[[], str],
    say: Callable[[str], None],
    *,
    first: float | None = None,
) -> AsyncIterator[None]:
    """Tell what is waited for while the block under it takes long.

    Args:
        what: says it, with its limit: "the registry, at most 60 s"; asked anew each time.
        say: gets the sentence.
        first: seconds until it is told for the first time; ``FIRST_SECONDS`` if not given.
    """
    telling = asyncio.create_task(_tell(what, say, FIRST_SECONDS if first is None else first))
    try:
        yield
    finally:
        telling.cancel()


async def _tell(what: Callable[[], str], say: Callable[[str], None], pause: float) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(pause)
        say(f"waiting for {what()} ({time.monotonic() - began:.0f} s so far)")
        pause = min(2.0 * pause, LAST_SECONDS)
