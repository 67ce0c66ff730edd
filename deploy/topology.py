"""Which processes an experiment needs, and the command line of each."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from deploy.addresses import Addresses
from deploy.experiment import LEARNS, Experiment
from deploy.processes import Command
from deploy.run_folder import RunFolder

PYTHON = (sys.executable, "-P", "-m")
"""How modules are started; -P, so that a user's folder that is called "trainer" is not taken for ours."""
ENV_SERVER_HANG_SECONDS = 45.0
"""Compiling a game for the first time may keep the server from answering; the trainer waits longer than this."""
TRAINER_HANG_SECONDS = 60.0
"""The trainer may leave its event loop longer than a server that only answers."""


class Topology:
    """Makes the commands of one run; an address is fixed when its command is made, and kept for all restarts."""

    def __init__(
        self, experiment: Experiment, folder: RunFolder, addresses: Addresses, python: Sequence[str] = PYTHON
    ) -> None:
        self._experiment = experiment
        self._folder = folder
        self._addresses = addresses
        self._python = python

    def registry(self) -> Command:
        """The store of policy versions."""
        return self._command("registry", "trainer.registry", ["--directory", str(self._folder.policies)])

    def env_servers(self) -> list[Command]:
        """The rules."""
        log = [*self._experiment.environment.imports, "--log-directory", str(self._folder.trajectories)]
        hang = ENV_SERVER_HANG_SECONDS
        count = self._experiment.env_servers
        return [self._command(f"env_server-{n}", "env_server", log, hang_seconds=hang) for n in range(count)]

    def agents(self, ids: Sequence[str], registry: Command) -> dict[str, list[Command]]:
        """The minds: every replica of every agent; agents that share a service have the same commands."""
        shared = self._experiment.agents.shared(ids)
        together = self._replicas("agents", shared, registry) if shared else []
        return {
            agent: together if agent in shared else self._replicas(f"agent-{agent}", [agent], registry) for agent in ids
        }

    def trainer(
        self, registry: Command, env_servers: Sequence[Command], agents: Mapping[str, Sequence[Command]]
    ) -> Command:
        """The learner."""
        arguments = ["--run-directory", str(self._folder.path), "--registry", registry.address]
        for server in env_servers:
            arguments += ["--env-server", server.address]
        for agent, replicas in agents.items():
            arguments += ["--agent", f"{agent}={','.join(r.address for r in replicas)}"]
        return self._command("trainer", "trainer", arguments, job=True, hang_seconds=TRAINER_HANG_SECONDS)

    def _replicas(self, name: str, agents: Sequence[str], registry: Command) -> list[Command]:
        settings = self._experiment.agents.of(agents[0])
        arguments = ["--policy", settings.policy]
        for agent in agents:
            arguments += ["--policy-id", agent]
        if settings.policy == LEARNS:
            arguments += ["--registry", registry.address]
        for key, value in settings.parameters.items():
            arguments += ["--parameter", f"{key}={value}"]
        names = [f"{name}-{n}" for n in range(settings.replicas)] if settings.replicas > 1 else [name]
        return [self._command(name, "agent_services", arguments) for name in names]

    def _command(
        self, name: str, module: str, arguments: Sequence[str], *, job: bool = False, hang_seconds: float = 20.0
    ) -> Command:
        address = self._addresses.address(name)
        metrics = self._addresses.port() if self._experiment.metrics else None
        flags = ["--listen", address, *(["--metrics-port", str(metrics)] if metrics else [])]
        return Command(
            name=name,
            arguments=(*self._python, module, *flags, *arguments),
            log=self._folder.log(name),
            address=address,
            hang_seconds=hang_seconds,
            job=job,
            metrics=metrics,
        )
