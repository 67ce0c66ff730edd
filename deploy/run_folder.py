"""The folder of a run: its name, what lies where, and who may write to it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from agora.files import writing
from deploy.errors import BadExperiment, Fault, LaunchError
from deploy.experiment import IMPORTS, RESUMABLE, Experiment
from deploy.loading import load


class RunFolder:
    """Paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.environment = path / "environment.json"
        self.processes = path / "processes.json"
        self.metrics = path / "metrics.jsonl"
        self.policies = path / "policies"
        self.trajectories = path / "trajectories"
        self.report = path / "report.html"

    def log(self, process: str) -> Path:
        """Where a process's output goes."""
        return self.path / "logs" / f"{process}.log"

    def write_config(self, experiment: Experiment) -> None:
        """Write the resolved experiment."""
        text = yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_atomically(self.config, text)

    def write_json(self, path: Path, values: Any) -> None:
        """Write one of the folder's JSON files."""
        write_atomically(path, json.dumps(values, indent=2) + "\n")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second launcher away from this run; the kernel lets go when the process ends.

        Raises:
            LaunchError: another launcher holds it.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LaunchError(f"{self.path}: another agora is running it; stop that one first") from None
            yield


def create(
    runs: Path, experiment: Experiment, explicit: bool, say: Callable[[str], None]
) -> tuple[RunFolder, Experiment]:
    """Make a new run's folder.

    Args:
        runs: where runs lie.
        experiment: what is going to run.
        explicit: whether the name was asked for; otherwise a number is added to one that is taken.
        say: told if the name was changed.

    Returns:
        The folder, and the experiment under the folder's name.

    Raises:
        BadExperiment: the name was asked for and is taken.
    """
    names = (experiment.name if n == 1 else f"{experiment.name}-{n}" for n in count(1))
    for name in names:
        folder = RunFolder(runs / name)
        try:
            folder.path.mkdir(parents=True)
        except FileExistsError:
            if explicit:
                fault = Fault(
                    "name", "a run that does not exist yet", name, "continue it with --resume, or choose another"
                )
                raise BadExperiment(str(folder.path), [fault]) from None
            continue
        if name != experiment.name:
            say(f"{runs / experiment.name} exists: this run is {name} (--resume continues the old one)")
        return folder, experiment.model_copy(update={"name": name})
    raise AssertionError("count() does not end")


def reopen(runs: Path, experiment: Experiment) -> tuple[RunFolder, Experiment]:
    """Open the folder of a run that is to be continued.

    Returns:
        The folder, and the experiment; where its game is imported from is kept and need not be said again.

    Raises:
        BadExperiment: there is none, or it was another experiment.
    """
    folder = RunFolder(runs / experiment.name)
    if not folder.config.exists():
        fault = Fault("--resume", "a run to continue", "no config.yaml there", "leave --resume out, or give --name")
        raise BadExperiment(str(folder.path), [fault])
    before = load(folder.config)
    kept = {key: getattr(before.environment, key) for key in IMPORTS if not getattr(experiment.environment, key)}
    environment = experiment.environment.model_copy(update=kept)
    experiment = experiment.model_copy(update={"environment": environment})
    faults = list(_differences(before, experiment))
    if faults:
        raise BadExperiment(f"{folder.path}: it is another experiment", faults)
    return folder, experiment


def _differences(old: BaseModel, new: BaseModel) -> Iterator[Fault]:
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    for path in dict.fromkeys([*before, *after]):
        if path not in RESUMABLE and before.get(path) != after.get(path):
            hint = "only training.max_environment_steps and training.epsilon may change"
            yield Fault(".".join(path), repr(before.get(path)), repr(after.get(path)), hint)


def _flat(values: dict[str, Any], under: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, (*under, str(key)))
        else:
            flat[(*under, str(key))] = value
    return flat


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old text or the new one, never half of it."""
    draft = path.with_name(f".{path.name}.draft")
    with writing(path), draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
