"""What a run tells while it learns: ``metrics.jsonl`` for programs, TensorBoard for curves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from agora.files import writing


class Tracker:
    """Appends rows to RUN/metrics.jsonl, each on disk as a whole line, and draws their numbers in TensorBoard."""

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / "metrics.jsonl"
        self._file = self._path.open("a+b")
        self._end_torn_line()
        self._folder = run_directory / "tensorboard"
        self._curves = SummaryWriter(str(self._folder))

    def _end_torn_line(self) -> None:
        """A process that was killed may have left half a line."""
        if self._file.seek(0, 2):
            self._file.seek(-1, 2)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")

    def add(self, kind: str, row: Mapping[str, Any], step: int) -> None:
        """Write one row and draw it at ``step`` joint actions."""
        with writing(self._path):
            self._file.write(json.dumps({"kind": kind, "time": time.time(), **row}).encode() + b"\n")
            self._file.flush()
        with writing(self._folder):
            for name, value in _numbers(kind, row):
                self._curves.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush both."""
        with writing(self._path):
            self._file.close()
        with writing(self._folder):
            self._curves.close()


def _numbers(prefix: str, row: Mapping[str, Any]) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for key, value in row.items():
        if isinstance(value, Mapping):
            found += _numbers(f"{prefix}/{key}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((f"{prefix}/{key}", float(value)))
    return found
