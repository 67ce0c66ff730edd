"""Read ``metrics.jsonl``, which may be torn, resumed and partly played twice."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
"""A number; JSON's null reads as not a number."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True)

    time: Number = math.nan


class Start(_Row):
    """The trainer started or resumed."""

    kind: Literal["start"]
    epoch: int = 0
    resumed: bool = False
    goal: Literal["equilibrium", "return"] = "equilibrium"


class Round(_Row):
    """One collection and learning phase."""

    kind: Literal["round"]
    round: int
    environment_steps: int
    steps_per_second: Number = math.nan
    rewards: dict[str, Number] = {}
    versions: dict[str, tuple[int, int]] = {}
    noise: Number = math.nan
    losses: dict[str, Number] = {}
    returns: dict[str, Number] = {}
    epsilon: Number = math.nan
    staleness: Number = math.nan
    stale: int = 0
    updates: int = 0
    learner_cpu_seconds: Number = math.nan
    failed_episodes: int = 0
    played_episodes: int = 0
    first_failure: str = ""


class Evaluation(_Row):
    """Greedy play of episodes that nobody learns from."""

    kind: Literal["evaluation"]
    round: int
    environment_steps: int
    episodes: int = 0
    returns: dict[str, Number] = {}
    standard_errors: dict[str, Number] = {}
    mean: Number = math.nan
    standard_error: Number = math.nan
    failed_episodes: int = 0
    first_failure: str = ""


class Check(_Row):
    """One equilibrium check, without noise."""

    kind: Literal["check"]
    round: int
    environment_steps: int
    nash_conv: Number = math.nan
    nash_conv_estimated: Number = math.nan
    relative: Number = math.nan
    relative_estimated: Number = math.nan
    ani: Number = math.nan
    payoffs: dict[str, Number] = {}
    best_response_payoffs: dict[str, Number] = {}
    actions: dict[str, list[Number]] = {}
    evaluations: int = 0


class End(_Row):
    """The trainer stopped by itself."""

    kind: Literal["end"]
    reason: str
    round: int = 0
    verdict: str = ""


AnyRow = Start | Round | Check | Evaluation | End
_ROW: TypeAdapter[AnyRow] = TypeAdapter(Annotated[AnyRow, Field(discriminator="kind")])


@dataclass(frozen=True)
class Metrics:
    """What the rows come to, after repeated rounds were replaced by their later rows.

    Attributes:
        starts: every start, resumes included, in order.
        rounds: by ascending number.
        checks: by ascending number of the round.
        evaluations: by ascending number of the round that they came after.
        end: the last row, if the run ended by itself.
        active_seconds: wall time from each start to the last row before the next.
        unreadable: lines that are torn or not understood.
    """

    starts: Sequence[Start] = ()
    rounds: Sequence[Round] = ()
    checks: Sequence[Check] = ()
    evaluations: Sequence[Evaluation] = ()
    end: End | None = None
    active_seconds: float = 0.0
    unreadable: int = 0

    @property
    def for_return(self) -> bool:
        """Whether the run trained for return, and not for an equilibrium."""
        return any(start.goal == "return" for start in self.starts)

    def resumes(self) -> list[tuple[int, int]]:
        """(environment steps, epoch) at which the trainer took up its work again."""
        marks = []
        for start in self.starts[1:]:
            before = [r.environment_steps for r in self.rounds if r.time < start.time]
            marks.append((before[-1] if before else 0, start.epoch))
        return marks


@dataclass
class _Reader:
    """Replays the rows; a round that is played again drops what followed it the first time."""

    starts: list[Start] = field(default_factory=list)
    rounds: dict[int, Round] = field(default_factory=dict)
    checks: dict[int, Check] = field(default_factory=dict)
    evaluations: dict[int, Evaluation] = field(default_factory=dict)
    end: End | None = None
    active_seconds: float = 0.0
    since: float = math.nan
    unreadable: int = 0

    def take(self, row: AnyRow) -> None:
        if isinstance(row, Start):
            self.starts.append(row)
            self.end, self.since = None, row.time
            return
        self._pass_time(row.time)
        if isinstance(row, Round):
            # The check of a round may stand before or after the round's own row: only later ones are stale.
            self.rounds = {n: r for n, r in self.rounds.items() if n < row.round} | {row.round: row}
            self.checks = {n: c for n, c in self.checks.items() if n <= row.round}
            self.evaluations = {n: e for n, e in self.evaluations.items() if n < row.round}
        elif isinstance(row, Evaluation):
            self.evaluations[row.round] = row
        elif isinstance(row, Check):
            self.checks[row.round] = row
        else:
            self.end = row

    def _pass_time(self, time: float) -> None:
        if time > self.since:
            self.active_seconds += time - self.since
        if math.isfinite(time):
            self.since = time


def read_metrics(path: Path) -> Metrics:
    """Read the rows of a run; a missing file reads as a run that has not begun."""
    reader = _Reader()
    for line in _lines(path):
        try:
            reader.take(_ROW.validate_python(json.loads(line)))
        except (ValueError, ValidationError, RecursionError):
            reader.unreadable += 1
    return Metrics(
        starts=reader.starts,
        rounds=[reader.rounds[n] for n in sorted(reader.rounds)],
        checks=[reader.checks[n] for n in sorted(reader.checks)],
        evaluations=[reader.evaluations[n] for n in sorted(reader.evaluations)],
        end=reader.end,
        active_seconds=reader.active_seconds,
        unreadable=reader.unreadable,
    )


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from (line for line in file if line.strip())
