"""The OpenEnv door before OpenEnv's own checker, ``openenv validate --url``."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from bench.processes import ROOT, Service, free_address
from bench.report import Row

TITLE = "the OpenEnv door passes every criterion of OpenEnv's own checker"
ALSO = ("bench/peers/openenv.txt",)
WITHOUT = ("market", "matrix", "mpe", "scml")
CHECKER = ROOT / ".peers" / "openenv" / "bin" / "openenv"


def run(quick: bool) -> list[Row]:
    """Check a charging game whose other stations are played by a service."""
    if not CHECKER.exists():
        return [Row.missing("criteria passed", "6 of 6", "not there; make peers PEERS=openenv builds the checker")]
    report = _report()
    rows = [_row(criterion) for criterion in report["criteria"]]
    passed = sum(row.holds for row in rows)
    return [*rows, Row("criteria passed", [float(passed)], f"of {len(rows)}", "6 of 6", passed == len(rows) == 6)]


def _report() -> dict[str, Any]:
    address = free_address()
    with Service("agent_services", ["--policy", "scripted:random"]) as minds:
        words = ["--openenv", address, "--gateway-seats", f"*={minds.address}"]
        with Service("env_server", words):
            command = [str(CHECKER), "validate", "--url", f"http://{address}"]
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, Any] = json.loads(said)
    return found


def _row(criterion: dict[str, Any]) -> Row:
    return Row(criterion["description"], [float(criterion["passed"])], "", "1", bool(criterion["passed"]))
