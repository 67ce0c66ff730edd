"""The ``agora`` command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from tyro.conf import Positional, UseAppendAction


@dataclass(frozen=True)
class Run:
    """Run an experiment on this machine until it has converged.

    Starts the policy registry, the environment servers, an agent service per agent and the trainer as processes,
    shows their progress, restarts what dies, and ends with a table and a report. Ctrl-C stops all of them; --resume
    continues.

    Exit codes: 0 finished, 1 failed, 2 the experiment or a flag is wrong, 128 + N stopped by signal N.
    """

    experiment: Positional[Path]
    """The experiment's file, such as examples/melbourne.yaml."""
    set: UseAppendAction[tuple[str, ...]] = ()
    """KEY=VALUE: change a setting, such as training.epsilon=0.01; may be given several times."""
    runs_dir: Path = Path("runs")
    """The folder in which runs lie."""
    name: str | None = None
    """The run's name. Default: the experiment's, with a number added if that run exists."""
    resume: bool = False
    """Continue the run of that name where it stopped; only training.max_environment_steps and training.epsilon may
    differ."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.commands import run

        return run(self.experiment, self.set, self.runs_dir, self.name, self.resume)


@dataclass(frozen=True)
class Describe:
    """Tell what runs at an address: its health, its services, and what they hold."""

    address: Positional[str]
    """HOST:PORT or unix:PATH; runs/NAME/processes.json lists those of a run."""
    json: bool = False
    """Print JSON instead of tables."""
    timeout: float = 5.0
    """Seconds to wait for an answer."""

    def __call__(self) -> int:
        """Do it."""
        from deploy.describe import describe

        return describe(self.address, as_json=self.json, timeout=self.timeout)


@dataclass(frozen=True)
class Report:
    """Write a run's report.html anew."""

    run: Positional[Path]
    """The run's folder, such as runs/melbourne."""

    def __call__(self) -> int:
        """Do it."""
        return subprocess.run([sys.executable, "-m", "trainer.report", str(self.run)], check=False).returncode


@dataclass(frozen=True)
class Version:
    """Print the release."""

    def __call__(self) -> int:
        """Do it."""
        from agora.version import software

        print(software())
        return 0


Command = (
    Annotated[Run, tyro.conf.subcommand("run")]
    | Annotated[Describe, tyro.conf.subcommand("describe")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Version, tyro.conf.subcommand("version")]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments ask for, and exit with its code."""
    command: Run | Describe | Report | Version = tyro.cli(
        Command,
        prog="agora",
        description="Multi-agent economies as services.",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )
    sys.exit(command())


if __name__ == "__main__":
    main()
