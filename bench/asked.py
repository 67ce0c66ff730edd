"""Processes of measurements that are asked by lines: a question on their standard input, a number on their output."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self, cast

ROOT = Path(__file__).resolve().parents[1]


class Asked:
    """A ``python -m MODULE ...`` that prints a greeting, and then a number for every line.

    Args:
        module: what runs.
        arguments: its command line.
        python: in which environment; this one by default.
        variables: of its environment, beside this process's.
        greeting: what it prints when it can be asked.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        python: str | Path = sys.executable,
        variables: Mapping[str, str] | None = None,
        greeting: str = "ready",
    ) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **(variables or {})}
        self._process = subprocess.Popen(
            [str(python), "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=ROOT,
            text=True,
        )
        self._module = module
        while self._line() != greeting:
            pass

    def ask(self, question: float) -> float:
        """The answer to a question.

        Raises:
            RuntimeError: the process ended.
        """
        sent = cast(IO[str], self._process.stdin)
        sent.write(f"{question}\n")
        sent.flush()
        return float(self._line())

    def _line(self) -> str:
        line = cast(IO[str], self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with exit code {self._process.wait()}")
        return line.strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
