"""Trains an experiment through ``agora run`` and keeps its result. What was stopped is continued."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from bench import provenance
from bench.sources import Measured, Sources
from deploy.experiment import Experiment
from deploy.loading import load
from experiments.playing import Table
from experiments.stored import (
    ROOT,
    Evaluation,
    Provenance,
    Training,
    fingerprint,
    keep_actor,
    place,
    read_training,
    write,
)

RUNS: Final = ROOT / "runs" / "experiments"
FINAL_EPISODES: Final = 2_000


def experiment_file(group: str, name: str) -> Path:
    """The file of an experiment."""
    return ROOT / "experiments" / group / f"{name}.yaml"


def names(group: str) -> list[str]:
    """The experiments of a group."""
    return sorted(path.stem for path in (ROOT / "experiments" / group).glob("*.yaml"))


def load_experiment(group: str, name: str, seed: int, changes: Mapping[str, int] | None = None) -> Experiment:
    """An experiment of a group, with a seed and further changes, as ``agora run --set`` takes them."""
    settings = {"seed": seed, **(changes or {})}
    return load(experiment_file(group, name), [f"{key}={value}" for key, value in settings.items()])


def is_kept(group: str, name: str, seed: int) -> bool:
    """Whether there is a result of this very configuration."""
    kept = read_training(place(group, name, seed))
    return kept is not None and kept.configuration == fingerprint(load_experiment(group, name, seed))


def train(group: str, name: str, seed: int, *, again: bool) -> Training:
    """Train, evaluate the last policies on mpe2, and keep what came out.

    Args:
        group: the folder of the experiment.
        name: its file's name.
        seed: of the run.
        again: whether to forget a run of the same configuration, instead of going on with it.

    Raises:
        RuntimeError: ``agora run`` failed.
    """
    experiment = load_experiment(group, name, seed)
    configuration = fingerprint(experiment)
    folder = RUNS / f"{group}-{name}-{seed}-{configuration[:8]}"
    if again:
        shutil.rmtree(folder, ignore_errors=True)
    began, cpu = time.monotonic(), _children_seconds()
    fresh = not folder.exists()
    if not _rows(folder, "end"):
        _run(experiment_file(group, name), seed, folder, fresh)
    cpu_seconds = round(_children_seconds() - cpu, 1) if fresh else None
    evaluations = _rows(folder, "evaluation")
    actors = {
        agent: keep_actor(_model(folder, agent, version)) for agent, version in evaluations[-1]["versions"].items()
    }
    with Table() as table:
        game = experiment.training.evaluation.environment or experiment.environment
        final = table.play(game.name, game.config, actors, FINAL_EPISODES)
    kept = Training(
        group=group,
        name=name,
        algorithm=experiment.training.algorithm,
        seed=seed,
        configuration=configuration,
        provenance=came_from(f"python -m experiments {group} --names {name} --seeds {seed}", began),
        environment_steps=evaluations[-1]["environment_steps"],
        cpu_seconds=cpu_seconds,
        evaluations=[_evaluation(row) for row in evaluations],
        final=final,
        actors=actors,
    )
    write(place(group, name, seed), kept)
    return kept


def present_code() -> Measured:
    """The code of a run: the launcher, and all that it starts."""
    return Sources().measured("deploy.cli")


def came_from(command: str, began: float) -> Provenance:
    """The present, for figures whose making began at this ``time.monotonic()``."""
    code = present_code()
    return Provenance(
        command=command,
        date=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        commit=provenance.commit(code.files),
        code=code.digest,
        machine=provenance.machine(),
        seconds=round(time.monotonic() - began, 1),
    )


def _run(file: Path, seed: int, folder: Path, fresh: bool) -> None:
    command = [sys.executable, "-m", "deploy.cli", "run", str(file), "--set", f"seed={seed}"]
    command += ["--runs-dir", str(folder.parent), "--name", folder.name, *([] if fresh else ["--resume"])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, cwd=ROOT, env=environment, check=False)
    if finished.returncode:
        raise RuntimeError(f"{file.name}: agora run: exit code {finished.returncode}")


def _rows(folder: Path, kind: str) -> list[dict[str, Any]]:
    """Rows of a run's metrics; a resumed run may have told some twice, of which the last counts."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [row for row in map(json.loads, lines) if row["kind"] == kind]
    return list({row["environment_steps"]: row for row in rows}.values())


def _model(folder: Path, agent: str, version: list[int]) -> bytes:
    return (folder / "policies" / agent / f"{version[0]}-{version[1]}.onnx").read_bytes()


def _evaluation(row: dict[str, Any]) -> Evaluation:
    return Evaluation(**{name: _rounded(row[name]) for name in Evaluation.model_fields})


def _rounded(value: Any) -> Any:
    """Numbers of a learning curve, also in a mapping, with as many digits as anybody reads."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def _children_seconds() -> float:
    """Processor time of all processes that were started here and have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
