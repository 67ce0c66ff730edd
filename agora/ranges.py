"""Numbers that can be asked for; light enough for a command line that only prints its version."""

from __future__ import annotations

from typing import Final

DAY: Final = 86_400
"""Seconds: the longest that anything can be told to wait; beyond years, timers of the libraries below overflow."""
SHORTEST: Final = 1e-3
"""Seconds: the shortest."""


def range_missed(value: float, least: float, most: float) -> str:
    """What is expected of a number, if it lies elsewhere or is none (NaN); empty if it is right."""
    return "" if least <= value <= most else f"{least:,} to {most:,}"
