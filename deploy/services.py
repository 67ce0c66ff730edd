"""Processes that live as long as one command: started, asked for their health, stopped at its end."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from agora.waiting import waiting
from deploy.addresses import Addresses
from deploy.errors import EXIT_REFUSED, BadExperiment, Fault, ProcessFailed, ProcessRefused
from deploy.processes import POLL_SECONDS, START_SECONDS, Child, Command, is_healthy
from deploy.topology import PYTHON

_ADDRESS = re.compile(r"^(unix:.+|lobby:.+|(\[[0-9A-Fa-f:.]+\]|[^:/\[\]]+):\d+)$")
GRACE_SECONDS = 3.0


def seats_of(texts: Sequence[str]) -> dict[str, str]:
    """Agent to policy or address, from words such as "AGENT=POLICY".

    Raises:
        BadExperiment: a word has another form.
    """
    found = {}
    for text in texts:
        agent, equals, who = text.partition("=")
        if not (equals and agent and who):
            raise BadExperiment("--seat", [Fault("(flag)", "AGENT=POLICY or AGENT=HOST:PORT", repr(text))])
        found[agent] = who
    return found


def check_agents(flag: str, named: Sequence[str], agents: Sequence[str]) -> None:
    """Check that all that are named play in the game.

    Raises:
        BadExperiment: one does not.
    """
    for agent in named:
        if agent not in agents:
            raise BadExperiment(flag, [Fault(agent, f"one of {', '.join(agents)}", "an unknown agent")])


def is_address(policy: str) -> bool:
    """Whether what plays an agent is the address of a service that runs, and no policy."""
    return _ADDRESS.match(policy) is not None


class Services:
    """The processes, by name; as a context all of them end with it."""

    def __init__(self, say: Callable[[str], None], start_seconds: float = START_SECONDS) -> None:
        """Nothing runs yet.

        Args:
            say: told what is waited for when that takes long.
            start_seconds: that a process may take until it works.
        """
        self.say = say
        self._start_seconds = start_seconds
        self._stack = AsyncExitStack()
        self._addresses = Addresses("tcp")
        self._running: list[tuple[Command, Child]] = []

    async def __aenter__(self) -> Self:
        self._logs = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="agora-")))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def log(self, name: str) -> Path:
        """Where a process's output goes; it is gone when they end."""
        return self._logs / f"{name}.log"

    async def start(self, name: str, module: str, arguments: Sequence[str], address: str | None = None) -> str:
        """Start a process, and wait for its health; its address, a free one unless one is asked for.

        Raises:
            ProcessFailed: it ended instead, or took too long.
        """
        address = address or self._addresses.address(name)
        words = (*PYTHON, module, "--listen", address, *arguments)
        command = Command(name, words, self.log(name), address)
        child = Child(command)
        self._stack.push_async_callback(child.stop, GRACE_SECONDS)
        self._running.append((command, child))
        limit = f"{self._start_seconds:g} s"
        try:
            async with waiting(lambda: f"{name} at {address} to work, at most {limit}", self.say):
                async with asyncio.timeout(self._start_seconds):
                    while not await is_healthy(address):
                        _check(command, child)
                        await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            raise ProcessFailed(name, f"does not work at {address} within {limit}", command.log) from None
        return address

    async def seat(self, said: Mapping[str, str]) -> dict[str, str]:
        """The address behind every agent; services that are missing are started, all at once.

        Args:
            said: agent to the policy that plays it, "scripted:NAME" or "onnx:FILE", or to the address of a service.

        Raises:
            ProcessFailed: a service did not start.
        """
        starting = {agent: policy for agent, policy in said.items() if not is_address(policy)}
        started = await asyncio.gather(
            *(self.start(agent, "agent_services", _arguments(agent, policy)) for agent, policy in starting.items())
        )
        return {**said, **dict(zip(starting, started, strict=True))}

    async def watch(self) -> None:
        """Wait until one of them ends.

        Raises:
            ProcessFailed: always, with the one that did.
        """
        while True:
            for command, child in self._running:
                _check(command, child)
            await asyncio.sleep(POLL_SECONDS)


def _check(command: Command, child: Child) -> None:
    if child.exit_code is not None:
        failed = ProcessRefused if child.exit_code == EXIT_REFUSED else ProcessFailed
        raise failed(command.name, f"ended with exit code {child.exit_code}", command.log)


def _arguments(agent: str, policy: str) -> list[str]:
    """Flags of the service that plays an agent."""
    kind, _, name = policy.partition(":")
    if kind == "onnx" and name:
        return ["--policy", "onnx", "--model", name, "--policy-id", agent]
    return ["--policy", policy, "--policy-id", agent]
