"""Runs an experiment on this machine: every part in a process of its own, kept alive until the trainer is done."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from agora.files import writing
from deploy.addresses import Addresses
from deploy.errors import BadExperiment, Fault, LaunchError
from deploy.experiment import Experiment
from deploy.metrics_tail import MetricsTail
from deploy.probing import describe_environment
from deploy.processes import Command
from deploy.progress import show
from deploy.result import print_result
from deploy.run_folder import RunFolder
from deploy.supervisor import Patience, Supervisor
from deploy.topology import Topology
from deploy.view import View

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOWN_NOTES = 4


class Launcher:
    """One launch of one run."""

    def __init__(self, experiment: Experiment, folder: RunFolder, console: Console) -> None:
        self._experiment = experiment
        self._folder = folder
        self._console = console
        self._patience = Patience(restarts=experiment.restarts)
        self._supervisors: list[Supervisor] = []
        self._agents: dict[str, list[Supervisor]] = {}
        self._environment: dict[str, Any] = {}
        self._tail = MetricsTail(folder.metrics)
        self._notes: deque[str] = deque(maxlen=SHOWN_NOTES)
        self._doing = ""
        self._began = time.monotonic()
        self._log = _event_log(folder)
        self._signal: signal.Signals | None = None

    def run(self) -> signal.Signals | None:
        """Run to the end and print the result.

        Returns:
            The signal that stopped it early, or None.

        Raises:
            LaunchError: it could not go on; all processes are gone.
        """
        addresses = Addresses(self._experiment.transport)
        try:
            asyncio.run(self._until_done(Topology(self._experiment, self._folder, addresses)))
        except asyncio.CancelledError:
            return self._signal
        finally:
            addresses.close()
        seconds, restarts = time.monotonic() - self._began, {s.command.name: s.restarts for s in self._supervisors}
        print_result(self._console, self._tail.look(), self._environment, seconds, restarts)
        return None

    async def _until_done(self, topology: Topology) -> None:
        main = asyncio.current_task()
        for number in _STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._stop, main, number)
        showing = asyncio.create_task(show(self._console, self._view))
        try:
            async with asyncio.TaskGroup() as group:
                work = await self._start(group, topology)
                await work[-1]
                for task in work[:-1]:
                    task.cancel()
        except* (LaunchError, OSError) as errors:
            raise _first(errors) from None
        finally:
            showing.cancel()
            (outcome,) = await asyncio.gather(showing, return_exceptions=True)
            if isinstance(outcome, Exception):  # a picture that fails must not fail the run
                self._log.error("progress: %r", outcome, exc_info=outcome)

    async def _start(self, group: asyncio.TaskGroup, topology: Topology) -> list[asyncio.Task[None]]:
        """Start everything in the order of need; the last task is the trainer's."""
        registry, servers = topology.registry(), topology.env_servers()
        tasks = self._supervise(group, [registry, *servers])
        await self._all_ready(self._supervisors)
        self._doing = f"building the environment {self._experiment.environment.name} (the first time compiles it)"
        source = str(self._folder.config)
        first = servers[0]
        self._environment = await describe_environment(first.address, self._experiment.environment, source, first.log)
        self._doing = ""
        self._folder.write_json(self._folder.environment, self._environment)
        self._check_overrides(self._environment["agents"])
        agents = topology.agents(self._environment["agents"], registry)
        before = len(self._supervisors)
        tasks += self._supervise(group, list({c.name: c for replicas in agents.values() for c in replicas}.values()))
        started = {supervisor.command.name: supervisor for supervisor in self._supervisors[before:]}
        self._agents = {agent: [started[c.name] for c in replicas] for agent, replicas in agents.items()}
        await self._all_ready(self._supervisors)
        return tasks + self._supervise(group, [topology.trainer(registry, servers, agents)])

    def _supervise(self, group: asyncio.TaskGroup, commands: Sequence[Command]) -> list[asyncio.Task[None]]:
        new = [Supervisor(command, self._patience, self._note) for command in commands]
        self._supervisors += new
        return [group.create_task(supervisor.run(), name=supervisor.command.name) for supervisor in new]

    @staticmethod
    async def _all_ready(supervisors: Iterable[Supervisor]) -> None:
        for supervisor in supervisors:
            await supervisor.ready.wait()

    def _check_overrides(self, agents: Sequence[str]) -> None:
        unknown = [agent for agent in self._experiment.agents.overrides if agent not in agents]
        if unknown:
            faults = [Fault(f"agents.overrides.{agent}", f"one of {', '.join(agents)}", agent) for agent in unknown]
            raise BadExperiment(str(self._folder.config), faults)

    def _note(self, text: str) -> None:
        """Write down what happened to a process; only what the user did not expect is shown too."""
        self._log.info(text)
        if not text.endswith(("ready", "done", "stopped")) and " started pid=" not in text:
            self._notes.append(f"{time.strftime('%H:%M:%S')} {text}")
        processes = {s.command.name: _entry(s) for s in self._supervisors}
        self._folder.write_json(self._folder.processes, processes)

    def _view(self) -> View:
        return View(
            name=self._experiment.name,
            standing=self._tail.look(),
            supervisors=self._supervisors,
            agents=self._agents,
            limit=self._experiment.training.max_environment_steps,
            epsilon=self._experiment.training.epsilon,
            began=self._began,
            notes=list(self._notes),
            doing=self._doing,
        )

    def _stop(self, main: asyncio.Task[Any] | None, number: signal.Signals) -> None:
        """The first signal stops all processes in order, the second kills them."""
        if self._signal is None and main is not None:
            self._signal = number
            main.cancel()
            return
        for supervisor in self._supervisors:
            supervisor.kill()


def _entry(supervisor: Supervisor) -> dict[str, Any]:
    command = supervisor.command
    return {
        "pid": supervisor.pid,
        "state": supervisor.state,
        "restarts": supervisor.restarts,
        "address": command.address,
        "metrics": f"http://127.0.0.1:{command.metrics}/metrics" if command.metrics else "",
        "log": str(command.log),
        "command": list(command.arguments),
    }


def _first(errors: BaseExceptionGroup[LaunchError | OSError]) -> LaunchError | OSError:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


class _Events(logging.FileHandler):
    """A log whose failures are failures, and no tracebacks on stderr."""

    def handleError(self, record: logging.LogRecord) -> None:  # named by logging
        """Called where the error is caught."""
        with writing(Path(self.baseFilename)):
            raise


def _event_log(folder: RunFolder) -> logging.Logger:
    path = folder.log("launcher")
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _Events(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger(f"agora.launcher.{folder.path}")
    log.handlers = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    return log
