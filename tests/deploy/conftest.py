"""A real launcher, as a process, over fake parts, as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAKE_AGORA = Path(__file__).with_name("fake_agora.py")


@dataclass
class Launch:
    process: subprocess.Popen[str]
    run: Path

    def processes(self) -> dict[str, Any]:
        path = self.run / "processes.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def rows(self) -> list[dict[str, Any]]:
        path = self.run / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < deadline, "it did not happen"
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
        return found

    def training(self) -> dict[str, Any]:
        """The processes, once the trainer has begun its rounds."""
        self.wait_for(lambda: len(self.rows()) >= 4)
        return self.processes()

    def finish(self, seconds: float = 100.0) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text("seed: 3\ntraining: {max_environment_steps: 1000}\n")
    return path


@pytest.fixture
def launch(tmp_path: Path, experiment: Path) -> Iterator[Callable[..., Launch]]:
    started: list[Launch] = []

    def start(*flags: str, name: str = "small", **variables: str) -> Launch:
        command = [
            sys.executable,
            str(FAKE_AGORA),
            "run",
            str(experiment),
            "--runs-dir",
            str(tmp_path / "runs"),
            *flags,
        ]
        process = subprocess.Popen(
            [*command, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        started.append(Launch(process, tmp_path / "runs" / name))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
