"""Results as they are kept in ``experiments/results``: figures, and all that is needed to get them again."""

from __future__ import annotations

import hashlib
import json
import statistics
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from deploy.experiment import Experiment
from trainer.algorithms import ALGORITHMS

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = Path(__file__).parent / "results"
TUNING: Final = "tuning"
"""Folder below a group's of the runs that a number of steps was chosen on."""
ACTORS: Final = "actors"
"""Folder of trained policies beside the results, each file named after the SHA-256 of its bytes."""
_DIGITS: Final = 6


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Returns(_Stored):
    """Undiscounted returns: means over episodes, and their standard errors.

    Attributes:
        returns, standard_errors: per agent.
        mean, standard_error: of the mean over agents.
    """

    returns: dict[str, float]
    standard_errors: dict[str, float]
    mean: float
    standard_error: float


class Evaluation(Returns):
    """Returns of greedy play after so many environment steps, with the run's wall time then."""

    environment_steps: int
    seconds: float


class Played(Returns):
    """Returns in a game, by its name and configuration.

    Attributes:
        players: per agent "trained", or the scripted policy's name.
    """

    environment: str
    config: dict[str, Any] = {}
    episodes: int
    players: dict[str, str]


class Provenance(_Stored):
    """How figures came about.

    Attributes:
        command: gives them again.
        code: hash of the code of the run, see ``bench.sources``; empty for figures from before there were hashes.
        seconds: wall time.
    """

    command: str
    date: str
    commit: str
    code: str = ""
    machine: dict[str, Any]
    seconds: float


class Training(_Stored):
    """One training run.

    Attributes:
        configuration: SHA-256 of what was run; see ``fingerprint``.
        cpu_seconds: processor time of all processes; None for a run that was continued.
        evaluations: the learning curve.
        final: the last policies, on more episodes.
        actors: per agent the name of its policy's file in the folder ``ACTORS``.
    """

    group: str
    name: str
    algorithm: str
    seed: int
    configuration: str
    provenance: Provenance
    environment_steps: int
    cpu_seconds: float | None
    evaluations: list[Evaluation]
    final: Played
    actors: dict[str, str]


class Curve(_Stored):
    """One run's learning curve: greedy evaluations, by environment steps; mean returns over agents."""

    seed: int
    environment_steps: list[int]
    means: list[float]
    standard_errors: list[float]


class Tuning(_Stored):
    """Runs on other seeds than the measured ones, on which an experiment's number of environment steps was chosen.

    Attributes:
        name: of the experiment.
        changes: how they differ from it, as ``agora run --set`` takes them; the seed is each curve's own.
        configurations: by seed, as in ``Training``.
        episodes: of each evaluation.
    """

    name: str
    changes: dict[str, int]
    configurations: dict[int, str]
    episodes: int
    provenance: Provenance
    curves: list[Curve]

    @property
    def chosen(self) -> tuple[int, float]:
        """Environment steps at which the mean of all curves is highest, and that mean."""
        curves = [dict(zip(curve.environment_steps, curve.means, strict=True)) for curve in self.curves]
        means = {steps: statistics.fmean(curve[steps] for curve in curves) for steps in curves[0]}
        return max(means.items(), key=lambda item: item[1])


class Matches(_Stored):
    """Who earns what against whom.

    Attributes:
        configuration: of the run that trained the policies among them; empty if there is none.
    """

    title: str
    configuration: str = ""
    provenance: Provenance
    matches: list[Played]


def fingerprint(experiment: Experiment) -> str:
    """SHA-256 of what makes a run what it is: the settings that were chosen, and all of the learner's.

    Defaults of the other settings are left out, so that a new setting does not make old results another experiment's.
    """
    chosen = experiment.model_dump(mode="json", exclude_unset=True, exclude={"name"})
    learner = ALGORITHMS[experiment.training.algorithm].Config(**experiment.training.learner)
    text = json.dumps([chosen, learner.model_dump(mode="json")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def summary(agents: list[str], returns: NDArray[np.float64]) -> dict[str, Any]:
    """The fields of ``Returns``, from returns float64 (episodes >= 2, N)."""
    count, team = len(returns), returns.mean(axis=1)
    errors = returns.std(axis=0, ddof=1) / np.sqrt(count)
    return {
        "returns": _named(agents, returns.mean(axis=0)),
        "standard_errors": _named(agents, errors),
        "mean": round(float(team.mean()), _DIGITS),
        "standard_error": round(float(team.std(ddof=1) / np.sqrt(count)), _DIGITS),
    }


def _named(agents: list[str], values: NDArray[np.float64]) -> dict[str, float]:
    return dict(zip(agents, np.round(values, _DIGITS).tolist(), strict=True))


def place(group: str, name: str, seed: int) -> Path:
    """Where a training run's result lies."""
    return RESULTS / group / f"{name}-{seed}.json"


def read_training(path: Path) -> Training | None:
    """A stored run, or None."""
    return Training.model_validate_json(path.read_text()) if path.exists() else None


def read_group(group: str) -> list[Training]:
    """All stored runs of a group, by name and seed."""
    found = [Training.model_validate_json(path.read_text()) for path in (RESULTS / group).glob("*.json")]
    return sorted(found, key=lambda training: (training.name, training.seed))


def read_tuning(group: str, name: str) -> Tuning | None:
    """The runs that an experiment's number of steps was chosen on, or None."""
    path = RESULTS / group / TUNING / f"{name}.json"
    return Tuning.model_validate_json(path.read_text()) if path.exists() else None


def read_matches(name: str) -> Matches | None:
    """Stored matches, or None."""
    path = RESULTS / f"{name}.json"
    return Matches.model_validate_json(path.read_text()) if path.exists() else None


def write(path: Path, result: BaseModel) -> None:
    """Write a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.model_dump_json(indent=1) + "\n")


def keep_actor(model: bytes) -> str:
    """Keep a policy; the name of its file. The same bytes are kept once."""
    name = f"{hashlib.sha256(model).hexdigest()[:16]}.onnx"
    path = RESULTS / ACTORS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model)
    return name


def forget_unused_actors() -> None:
    """Remove policies that no stored result names."""
    used = {name for path in RESULTS.glob("*/*.json") for name in json.loads(path.read_text())["actors"].values()}
    for path in (RESULTS / ACTORS).glob("*.onnx"):
        if path.name not in used:
            path.unlink()
