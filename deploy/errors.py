"""What ends a launch, with the exit code it ends with.

The tree::

    LaunchError             something failed; exit code 1
    ├── BadExperiment       what was asked for is wrong; names where, the field, what was expected and what came; 2
    ├── ProcessRefused      a process refused its settings (its own exit code 2); 2
    └── ProcessFailed       a process did not start, died too often, or says that it would fail again; 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

EXIT_FAILED = 1
EXIT_REFUSED = 2
EXIT_HOPELESS = 3
"""What a process ends with whose work would fail in the same way again."""
EXIT_DISK = 74
"""Of a process whose disk is full or may not be written."""


class LaunchError(Exception):
    """Something failed; the text says what, and what to do."""

    exit_code = EXIT_FAILED


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in an experiment.

    Attributes:
        field: dotted path.
        expected: what was expected there.
        got: what came.
        hint: what was probably meant; may be empty.
    """

    field: str
    expected: str
    got: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.field}: expected {self.expected}, got {self.got}"
        return f"{text} ({self.hint})" if self.hint else text


class BadExperiment(LaunchError):
    """What was asked for is wrong.

    Attributes:
        source: the file or flag that says so.
        faults: what is wrong in it.
    """

    exit_code = EXIT_REFUSED

    def __init__(self, source: str, faults: Sequence[Fault]) -> None:
        super().__init__(source, faults)
        self.source = source
        self.faults = tuple(faults)

    def __str__(self) -> str:
        return "\n".join(f"{self.source}: {fault}" for fault in self.faults)


class ProcessFailed(LaunchError):
    """A process did not start, or died too often; the text ends with the tail of its log."""

    def __init__(self, name: str, why: str, log: Path) -> None:
        super().__init__(name, why, log)
        self.name = name
        self.why = why
        self.log = log
        self.tail = log_tail(log)

    def __str__(self) -> str:
        return f"{self.name}: {self.why}\nthe end of {self.log}:\n{self.tail}"


class ProcessRefused(ProcessFailed):
    """A process refused its settings."""

    exit_code = EXIT_REFUSED


def log_tail(path: Path, lines: int = 12) -> str:
    """The last lines of a log, indented."""
    if not path.exists():
        return "  (no log)"
    tail = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(f"  {line}" for line in tail) or "  (empty)"
