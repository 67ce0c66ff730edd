# SPDX-License-Identifier: AGPL-3.0-or-later
"""What is shown while worlds are played."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

HOUR = 3600
SPEED_SECONDS = 600
"""The time left is told from the worlds of the last so many seconds."""


class Bar:
    """Worlds done, worlds per hour, time left and failures; on a terminal only.

    Attributes:
        failed: how many worlds failed.
    """

    def __init__(self, console: Console, total: int | None, done: int = 0) -> None:
        """Not shown yet.

        Args:
            console: where.
            total: how many worlds there are; None if that is told later.
            done: how many were done before.
        """
        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[hour]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[failed]}"),
        )
        silent = not console.is_terminal
        self._progress = Progress(*columns, console=console, disable=silent, speed_estimate_period=SPEED_SECONDS)
        self._task = self._progress.add_task("", total=total, completed=done, hour="", failed="")
        self._played = 0
        self.failed = 0

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, failed: bool, total: int | None = None) -> None:
        """A world has ended."""
        self._played += 1
        self.failed += failed
        elapsed = self._progress.tasks[0].elapsed
        self._progress.update(
            self._task,
            advance=1,
            total=total,
            hour=f"{self._played / elapsed * HOUR:.0f} worlds/h" if elapsed else "",
            failed=f"{self.failed} failed" if self.failed else "",
        )
