"""What a measurement reports: rows of repeated figures held against a target."""

from __future__ import annotations

import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured quantity.

    Attributes:
        name: what was measured.
        values: the figure of every (paired) repeat.
        unit: of the figures.
        target: what the figure should be, in words.
        holds: whether it is.
    """

    name: str
    values: list[float]
    unit: str
    target: str
    holds: bool

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.values)
