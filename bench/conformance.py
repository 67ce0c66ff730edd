"""The conformance suite against agents in several languages, an environment server, and agents broken on purpose."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from agora.conformance.agent import CASES as AGENT_CASES
from agora.conformance.checking import Report, check_agent, check_env
from agora.conformance.commands import CheckAgent, CheckEnv
from agora.conformance.env import CASES as ENV_CASES
from agora.conformance.report import counts
from agora.conformance.running import Verdict
from bench.processes import ROOT, Service, free_address, wait_healthy
from bench.report import Row
from tests.support.broken_agents import DEFECTS
from tests.support.sound_agent import Sound, serving

TITLE = "agents in any language and environment servers keep the contract, and broken ones are named"
ALSO = ("examples/agents/python/cautious.py", "examples/agents/node/*.js*")
WITHOUT = ("market", "matrix", "mpe", "scml")
EPISODES = '{"episode_rounds": 4}'
CAUTIOUS = "examples/agents/python/cautious.py"
NODE = "examples/agents/node"
TOKEN = "a-long-random-word"  # noqa: S105 of a lobby that lives for a second


@contextmanager
def _process(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended afterwards."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _listening(*command: str) -> Report:
    """The suite against a process that listens."""
    address = free_address()
    with _process(*command, "--listen", address) as process:
        wait_healthy(address, process=process)
        return asyncio.run(check_agent(CheckAgent(address)))


def _rows(name: str, report: Report) -> list[Row]:
    found = counts(report.outcomes)
    passed = Row(f"{name}: passed", [float(found["passed"])], "cases", "the more, the better", found["passed"] > 0)
    failed = Row(f"{name}: failed", [float(found["failed"])], "cases", "0", found["failed"] == 0)
    left_out = Counter(o.expected for o in report.outcomes if o.verdict is Verdict.NOT_APPLICABLE)
    skipped = [
        Row(f"{name}: not applicable, {why}", [float(count)], "cases", "for information", True)
        for why, count in left_out.items()
    ]
    return [passed, failed, *skipped]


def _python(server: str) -> list[Row]:
    address = free_address()
    with _process(sys.executable, CAUTIOUS, "--listen", address) as process:
        wait_healthy(address, process=process)
        options = CheckAgent(address, spaces_of=(server, "charging"))
        return _rows("five lines of Python", asyncio.run(check_agent(options)))


def _dialled_in(server: str) -> list[Row]:
    lobby = free_address()
    with _process(sys.executable, CAUTIOUS, "--join", lobby, "--name", "visitor", "--token", TOKEN):
        options = CheckAgent(join=lobby, name="visitor", token=TOKEN, spaces_of=(server, "charging"))
        return _rows("the same, dialled in", asyncio.run(check_agent(options)))


def _node() -> list[Row]:
    if shutil.which("npm") is None:
        return [Row.missing("JavaScript: failed", "0", "Node.js with npm is not there")]
    subprocess.run(["npm", "ci", "--prefix", NODE], cwd=ROOT, check=True, capture_output=True)
    return _rows("JavaScript", _listening("node", f"{NODE}/agent.js"))


def _named(kind: type[Sound]) -> bool:
    """Whether the cases that are meant for a defect fail."""

    async def main() -> set[str]:
        failed: set[str] = set()
        async with serving(kind()) as address:
            for case in kind.cases:
                report = await check_agent(CheckAgent(address, pattern=case, timeout=kind.patience))
                failed |= {o.id for o in report.outcomes if o.verdict is Verdict.FAILED}
        return failed

    return set(kind.cases) <= asyncio.run(main())


def _broken(kinds: Sequence[type[Sound]]) -> Row:
    named = sum(_named(kind) for kind in kinds)
    target = f"all {len(kinds)}"
    return Row("agents broken on purpose that are named", [float(named)], "agents", target, named == len(kinds))


def run(quick: bool) -> list[Row]:
    """Count cases, skipped ones by their reasons, and broken agents; ``quick`` takes a third of the latter."""
    rows = [
        Row("cases for agents", [float(len(AGENT_CASES))], "cases", ">= 75", len(AGENT_CASES) >= 75),
        Row("cases for environment servers", [float(len(ENV_CASES))], "cases", ">= 45", len(ENV_CASES) >= 45),
    ]
    with ExitStack() as stack:
        server = stack.enter_context(Service("env_server")).address
        scripted = stack.enter_context(Service("agent_services", ["--policy", "scripted:random"])).address
        rows += _rows("scripted agent service", asyncio.run(check_agent(CheckAgent(scripted))))
        rows += _python(server) + _dialled_in(server) + _node()
        options = CheckEnv(server, config=EPISODES)
        rows += _rows("environment server, charging", asyncio.run(check_env(options)))
    kinds = [DEFECTS[name] for name in sorted(DEFECTS)]
    return [*rows, _broken(kinds[::3] if quick else kinds)]
