# SPDX-License-Identifier: AGPL-3.0-or-later
"""``python -m scml_engine.worker FD``: plays worlds for a game server, over the socket that it inherits as FD.

What is said there is described in ``agora.negotiation.wire``. One process hosts many worlds and plays those that were
answered one after the other, each to its next question.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agora.negotiation.wire import Kind, answers_dtype, receive, report_dtype, send

if TYPE_CHECKING:
    from scml_engine.hosting import Host


class Trouble(Exception):
    """What the server is told instead of a report.

    Attributes:
        what: "engine": it is not installed; "spec": a world cannot be built; "world": one broke down.
    """

    def __init__(self, what: str, message: str) -> None:
        super().__init__(what, message)
        self.what, self.message = what, message


class Worker:
    """Hosts worlds, until the other side closes the link."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._hosts: dict[int, Host] = {}
        self._shape: tuple[int, ...] = ()

    def serve(self) -> None:
        """Answer messages for as long as they come."""
        while True:
            try:
                kind, payload = receive(self._link)
            except ConnectionError:
                return
            try:
                reports = self._start(json.loads(payload)) if kind == Kind.START else self._answer(payload)
                send(self._link, Kind.REPORTS, reports)
            except Trouble as trouble:
                self._clear()
                said = json.dumps({"what": trouble.what, "message": trouble.message})
                send(self._link, Kind.TROUBLE, said.encode())

    def _start(self, order: dict[str, Any]) -> bytes:
        self._clear()
        try:
            from scml_engine.hosting import Host
            from scml_engine.spec import WorldSpec
        except ModuleNotFoundError as error:
            raise Trouble("engine", str(error)) from error
        run = None if order["run"] is None else Path(order["run"])
        for world in order["worlds"]:
            spec = WorldSpec.from_json(world["spec"])
            self._shape = spec.shape
            self._hosts[world["copy"]] = Host(spec, run, world["name"])
        return self._resume(list(self._hosts), None)

    def _answer(self, payload: bytearray) -> bytes:
        answers = np.frombuffer(payload, answers_dtype(self._shape))
        return self._resume(answers["copy"].tolist(), answers)

    def _resume(self, copies: list[int], answers: Any) -> bytes:
        reports = np.zeros(len(copies), report_dtype(self._shape))
        for i, copy in enumerate(copies):
            reports[i]["copy"] = copy
            try:
                self._hosts[copy].resume(None if answers is None else answers[i], reports[i])
            except ValueError as error:
                raise Trouble("spec" if answers is None else "world", f"copy {copy}: {error}") from error
            except Exception as error:
                raise Trouble("world", f"copy {copy}: {type(error).__name__}: {error}") from error
        return reports.tobytes()

    def _clear(self) -> None:
        for host in self._hosts.values():
            host.close()
        self._hosts = {}
        gc.collect()


def main() -> None:
    """Serve, quietly: published agents print, and an interrupt at the keyboard is the server's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    with socket.socket(fileno=int(sys.argv[1])) as link:
        Worker(link).serve()


if __name__ == "__main__":
    main()
