# SPDX-License-Identifier: AGPL-3.0-or-later
"""What ends a command, with the exit code it ends with."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_FAILED = 1
EXIT_REFUSED = 2


class RefusedError(Exception):
    """What was asked for is wrong; the text names the flag, what was expected and what came. Exit code 2."""

    def __init__(self, flag: str, expected: str, got: object) -> None:
        super().__init__(f"{flag}: expected {expected}, got {got}")


class Stopped(BaseException):
    """A signal asked the command to stop.

    Attributes:
        signal: which.
    """

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, Ctrl-C and a polite kill raise ``Stopped``."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Stopped(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
