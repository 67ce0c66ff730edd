"""The dm_env_rpc endpoint: held to the protocol's own suite, and its speed beside the official Python server's.

Both serve the same game (``bench.dm_env_rpc_game``) to the same official clients, in processes of their own, by turns.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

import psutil

from bench.dm_env_rpc_game import GAME
from bench.processes import ROOT, Service, free_address
from bench.report import Row

TITLE = "dm_env_rpc: its compliance suite, and official clients served by this server and by the official one"
WITHOUT = ("market", "matrix", "mpe", "scml")
COPIES = 64
TARGET = 5.0
RATES = (
    ("steps/s, 2 official clients, against the official server", "here", "theirs", TARGET),
    ("the same of a server that only sends ready bytes: the bound", "ready", "theirs", None),
    ("steps/s, 1 official client, against the official server", "here, 1 client", "theirs, 1 client", None),
    ("steps/s, requests replayed 16 ahead, against the same", "here, replayed", "theirs, replayed", None),
    ("steps/s, one stream of 64 copies, against 64 streams there", "here, 1 client", "theirs, 64 streams", None),
)
"""What a row says, whose rate stands over whose, and the target."""
COST = ("processor time for a step, replayed: theirs against ours", "theirs, replayed", "here, replayed")


@dataclass(frozen=True)
class Server:
    """Where clients go, and whose processor time is counted."""

    address: str
    pid: int


@dataclass(frozen=True)
class Served:
    """What a server did for its clients.

    Attributes:
        rate: steps of one copy answered in a second.
        cost: seconds of the server's processor time for one answer.
    """

    rate: float
    cost: float


@dataclass(frozen=True)
class Crowd:
    """Official clients in processes of their own, joined and waiting.

    Attributes:
        server: whom they drive.
        copies: in each of their worlds.
        clients: the processes.
    """

    server: Server
    copies: int
    clients: Sequence[subprocess.Popen[str]]

    def drive(self, seconds: float) -> Served:
        """Let all of them drive at the same time."""
        busy, began = _cpu(self.server.pid), time.perf_counter()
        for client in self.clients:
            assert client.stdin is not None
            client.stdin.write(f"{seconds}\n")
            client.stdin.flush()
        steps = sum(int(client.stdout.readline()) for client in self.clients if client.stdout is not None)
        rate = steps * self.copies / (time.perf_counter() - began)
        return Served(rate, (_cpu(self.server.pid) - busy) / steps)

    def alone(self) -> Crowd:
        """One of them."""
        return Crowd(self.server, self.copies, self.clients[:1])


def run(quick: bool) -> list[Row]:
    """The suite, then speeds: every arrangement once in each round."""
    rounds, seconds = (3, 0.7) if quick else (7, 1.5)
    rows = [_compliance()]
    with ExitStack() as stack:
        crowds = _crowds(stack)
        taken = [{name: crowd.drive(seconds) for name, crowd in crowds.items()} for _ in range(rounds)]
    for name, over, under, target in RATES:
        values = [served[over].rate / served[under].rate for served in taken]
        rows.append(_row(name, values, target))
    name, over, under = COST
    return [*rows, _row(name, [served[over].cost / served[under].cost for served in taken], None)]


def _row(name: str, values: list[float], target: float | None) -> Row:
    if target is None:
        return Row(name, values, "times", "for information", True)
    return Row(name, values, "times", f">= {target:g}", median(values) >= target)


def _crowds(stack: ExitStack) -> dict[str, Crowd]:
    here, theirs = stack.enter_context(ours()), stack.enter_context(official(COPIES))
    ready, single = stack.enter_context(official(COPIES, "--ready")), stack.enter_context(official(1))
    replayed = ("--ahead", "16", "--replay")
    many = ("--streams", str(COPIES // 2))
    crowds = {
        "here": _crowd(stack, here, COPIES),
        "theirs": _crowd(stack, theirs, COPIES),
        "ready": _crowd(stack, ready, COPIES),
        "here, replayed": _crowd(stack, here, COPIES, *replayed),
        "theirs, replayed": _crowd(stack, theirs, COPIES, *replayed),
        "theirs, 64 streams": _crowd(stack, single, 1, *many),
    }
    return {**crowds, "here, 1 client": crowds["here"].alone(), "theirs, 1 client": crowds["theirs"].alone()}


def _crowd(stack: ExitStack, server: Server, copies: int, *more: str) -> Crowd:
    command = [sys.executable, "-m", "bench.dm_env_rpc_client", server.address, "--copies", str(copies), *more]
    clients = []
    for _ in range(2):
        client = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        clients.append(stack.enter_context(client))
    for client in clients:
        assert client.stdout is not None and client.stdout.readline() == "joined\n"
    return Crowd(server, copies, clients)


def _compliance() -> Row:
    mind = ["--policy", "scripted:random"]
    door = free_address()
    with Service("agent_services", mind) as service:
        seats = ["--gateway-seats", f"*={service.address}"]
        with Service("env_server", ["--dm-env-rpc", door, *seats]):
            command = [sys.executable, "-m", "unittest", "tests.support.dm_env_rpc"]
            environment = {**os.environ, "DM_ENV_RPC_ADDRESS": door}
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    failed = sum(int(number) for number in re.findall(r"(?:failures|errors)=(\d+)", done.stderr))
    passed = int(ran[1]) - failed if ran else 0
    return Row("tests of dm_env_rpc's compliance suite passed", [float(passed)], "of 40", "40", passed == 40)


@contextmanager
def official(copies: int, *more: str) -> Iterator[Server]:
    """The official library's server."""
    with Service("bench.dm_env_rpc_peer", ["--copies", str(copies), *more]) as service:
        assert service.process is not None
        yield Server(service.address, service.process.pid)


@contextmanager
def ours() -> Iterator[Server]:
    """This project's."""
    door = free_address()
    game = ["--game", GAME, "--gateway-environment", "one_seat"]
    with Service("env_server", ["--dm-env-rpc", door, *game]) as service:
        assert service.process is not None
        yield Server(door, service.process.pid)


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
