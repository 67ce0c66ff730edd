"""What a measurement reports: rows of repeated figures held against a target."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

TOLD: Final = ("for information", "reported")
"""How targets begin that nothing is held against."""


class Verdict(StrEnum):
    """What became of a target, the gravest last."""

    TOLD = "for information"
    HOLDS = "holds"
    NOT_MEASURED = "not measured"
    FALLS_SHORT = "falls short"


@dataclass(frozen=True)
class Row:
    """One measured quantity.

    Attributes:
        name: what was measured.
        values: the figure of every (paired) repeat.
        unit: of the figures.
        target: what the figure should be, in words; "for information" and "reported" if anything will do.
        holds: whether it is.
        measured: whether there is a figure at all; what could not be measured does not hold.
    """

    name: str
    values: list[float]
    unit: str
    target: str
    holds: bool
    measured: bool = True

    @classmethod
    def missing(cls, name: str, target: str, why: str) -> Self:
        """A figure that could not be taken, as when another's software is not there."""
        return cls(name, [], "", f"{target}; {why}", False, measured=False)

    @property
    def median(self) -> float:
        """The figure to quote; NaN if there is none."""
        return statistics.median(self.values) if self.values else math.nan

    @property
    def verdict(self) -> Verdict:
        """Whether the target is reached."""
        if not self.measured:
            return Verdict.NOT_MEASURED
        if not self.holds:
            return Verdict.FALLS_SHORT
        return Verdict.TOLD if self.target.startswith(TOLD) else Verdict.HOLDS


def verdict(rows: Sequence[Row]) -> Verdict:
    """Of a measurement: its gravest row's, and "holds" wherever one row holds; without rows nothing was measured."""
    order = list(Verdict)
    return max((row.verdict for row in rows), key=order.index, default=Verdict.NOT_MEASURED)
