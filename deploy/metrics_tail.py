"""Follows ``metrics.jsonl`` while the trainer appends to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]


@dataclass
class Standing:
    """Where a run stands: the newest row of each kind.

    Attributes:
        start: the trainer's last start.
        round: the last learning round.
        check: the last equilibrium check.
        evaluation: the last greedy evaluation.
        end: set once the trainer is done.
        starts: how often a trainer started.
    """

    start: Row = field(default_factory=dict)
    round: Row = field(default_factory=dict)
    check: Row = field(default_factory=dict)
    evaluation: Row = field(default_factory=dict)
    end: Row = field(default_factory=dict)
    starts: int = 0

    @property
    def for_return(self) -> bool:
        """Whether the run trains for return, and not for an equilibrium."""
        return self.start.get("goal") == "return"

    def add(self, row: Row) -> None:
        """Take in one row; kinds that this version does not know are ignored."""
        match row.get("kind"):
            case "start":
                self.start, self.end = row, {}
                self.starts += 1
            case "round":
                self.round = row
            case "check":
                self.check = row
            case "evaluation":
                self.evaluation = row
            case "end":
                self.end = row


class MetricsTail:
    """Reads what was appended since the last look; a line that is not finished yet waits for the next."""

    def __init__(self, path: Path) -> None:
        self.standing = Standing()
        self._path = path
        self._offset = 0

    def look(self) -> Standing:
        """Read on."""
        if not self._path.exists():
            return self.standing
        if self._path.stat().st_size < self._offset:  # cut back to a checkpoint: begin again
            self.standing, self._offset = Standing(), 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._take(line)
        return self.standing

    def _take(self, line: bytes) -> None:
        try:
            row = json.loads(line)
        except ValueError:  # torn by a kill in the middle of a write
            return
        if isinstance(row, dict):
            self.standing.add(row)
