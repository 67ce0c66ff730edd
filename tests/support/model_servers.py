"""A real MLServer as a context: its models are folders that tests describe."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import grpc

from agent_services.policies.remote.server import ModelServer
from agora.errors import Refused
from bench.processes import free_address
from tests.support import tools

START_SECONDS = 60.0
Tensor = tuple[str, str, Sequence[int]]


def needs_mlserver() -> None:
    """Skip, aloud, where MLServer is not installed."""
    tools.require("MLServer")


def add_model(
    folder: Path, name: str, kind: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor], **extra: Any
) -> None:
    """Write a model's folder; its tensors are (name, datatype, shape), ``kind`` a class of ``mlserver_policy``."""
    ends: Mapping[str, Any] = {
        side: [{"name": n, "datatype": d, "shape": list(s)} for n, d, s in tensors]
        for side, tensors in (("inputs", inputs), ("outputs", outputs))
    }
    settings = {"name": name, "implementation": f"mlserver_policy.{kind}", **ends, "parameters": {"extra": extra}}
    (folder / name).mkdir(parents=True)
    (folder / name / "model-settings.json").write_text(json.dumps(settings))


class MLServer:
    """MLServer with a folder's models; healthy inside the context."""

    def __init__(self, folder: Path) -> None:
        self.address = free_address()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        ports = {"grpc_port": int(self.address.split(":")[1]), "http_port": int(free_address().split(":")[1])}
        settings = {"host": "127.0.0.1", "debug": False, "parallel_workers": 0, "metrics_endpoint": None, **ports}
        (folder / "settings.json").write_text(json.dumps(settings))
        shutil.copy(Path(__file__).parent / "mlserver_policy.py", folder)

    def start(self) -> Self:
        """Start it, and wait until it is ready."""
        environment = {**os.environ, "PYTHONPATH": str(self._folder), "OMP_NUM_THREADS": "1"}
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(tools.MLSERVER), "start", "."], cwd=self._folder, env=environment, stdout=log, stderr=log
            )
        until = time.monotonic() + START_SECONDS
        while not self._is_ready():
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < until, "MLServer does not become ready"
            time.sleep(0.05)
        return self

    def _is_ready(self) -> bool:
        try:
            return ModelServer(self.address, "", "", 1.0).is_ready()
        except (Refused, grpc.RpcError):
            return False

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End it without a word."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(20)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.kill()
