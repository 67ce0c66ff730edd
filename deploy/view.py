"""What a run shows while it runs: a table for a terminal, or one line for a log."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from agora.failures import Failures
from deploy.metrics_tail import Standing
from deploy.supervisor import Supervisor

DASH = "–"


@dataclass(frozen=True)
class View:
    """Everything that is shown.

    Attributes:
        name: of the run.
        standing: newest rows of the trainer.
        supervisors: all processes so far.
        agents: the services of each agent, in the environment's order; empty until it was asked.
        limit: joint actions after which the run stops.
        epsilon: share of total profit at which the run has converged.
        began: when the run began, time.monotonic().
        notes: what happened to processes lately.
        doing: what is done at the moment where no process's state tells it.
    """

    name: str
    standing: Standing
    supervisors: Sequence[Supervisor]
    agents: Mapping[str, Sequence[Supervisor]]
    limit: int
    epsilon: float
    began: float
    notes: Sequence[str] = ()
    doing: str = ""

    @property
    def restarts(self) -> int:
        """Restarts of all processes."""
        return sum(s.restarts for s in self.supervisors)

    @property
    def pending(self) -> str:
        """Processes that do not work yet, or again; else what is being done."""
        names = [s.command.name for s in self.supervisors if s.state in ("waiting", "starting", "restarting")]
        return f"waiting for {', '.join(names)}" if names else self.doing


def line(view: View) -> str:
    """One line that says it all."""
    row, check, evaluation = view.standing.round, view.standing.check, view.standing.evaluation
    steps, earned = ("steps", "returns") if view.standing.for_return else ("evaluations", "rewards")
    parts = [f"{_clock(time.monotonic() - view.began)}"]
    if row:
        values = " ".join(f"{agent}={number(r, 1)}" for agent, r in row.get(earned, {}).items())
        parts += [
            f"round {row.get('round', DASH)}",
            f"{steps} {number(row.get('environment_steps'), 0)}/{number(view.limit, 0)}",
            f"{number(row.get('steps_per_second'), 0)} steps/s",
            f"{earned} {values or DASH}",
        ]
    if check:
        verified, estimated = percent(check.get("relative")), percent(check.get("relative_estimated"))
        parts.append(f"NashConv {verified} (estimated {estimated})")
    if evaluation:
        parts.append(f"evaluated {mean_return(evaluation)}")
    if failed := failed_episodes(view.standing):
        parts.append(failed)
    if view.pending:
        parts.append(view.pending)
    if view.restarts:
        parts.append(f"restarts {view.restarts}")
    return " · ".join(parts)


def table(view: View) -> Panel:
    """The live picture."""
    parts: list[RenderableType] = [_figures(view), _agents(view)]
    if view.standing.round:
        done = float(view.standing.round.get("environment_steps") or 0)
        bar = Table.grid()  # a bar does not end its own line
        bar.add_row(ProgressBar(total=view.limit, completed=min(done, view.limit), width=60))
        parts.insert(1, bar)
    troubles = [Text(note, style="dim") for note in view.notes]
    if failed := failed_episodes(view.standing):
        troubles.append(Text(failed, style="red"))
    if view.pending:
        troubles.append(Text(view.pending, style="yellow"))
    clock = _clock(time.monotonic() - view.began)
    return Panel(Group(*parts, *troubles), title=f"agora · {view.name} · {clock}", title_align="left", expand=False)


def _figures(view: View) -> Table:
    row = view.standing.round
    done, speed = row.get("environment_steps"), row.get("steps_per_second")
    left = (view.limit - done) / speed if done is not None and speed else math.nan
    for_return = view.standing.for_return
    steps, most = ("steps", "") if for_return else ("evaluations", "at most ")
    figures = (
        ("round", number(row.get("round"), 0)),
        (steps, f"{number(done, 0)} of {most}{number(view.limit, 0)}"),
        ("steps/s", number(speed, 0)),
        (f"{most}left", _clock(left) if math.isfinite(left) else DASH),
        *(_returns(view.standing) if for_return else _equilibrium(view)),
        ("restarts", str(view.restarts)),
    )
    grid = Table.grid(padding=(0, 2))
    for title, value in figures:
        grid.add_row(Text(title, style="dim"), value)
    return grid


def _equilibrium(view: View) -> tuple[tuple[str, str], ...]:
    check = view.standing.check
    return (
        ("noise", number(view.standing.round.get("noise"), 3)),
        ("NashConv verified", f"{percent(check.get('relative'))} of profit (stops at {percent(view.epsilon)})"),
        ("NashConv estimated", f"{percent(check.get('relative_estimated'))} of profit"),
        ("ANI", number(check.get("ani"), 4)),
    )


def _returns(standing: Standing) -> tuple[tuple[str, str], ...]:
    row, evaluation = standing.round, standing.evaluation
    at = f" at {number(evaluation.get('environment_steps'), 0)} steps" if evaluation else ""
    return (
        ("updates", number(row.get("updates"), 0)),
        ("acting policy's age", f"{number(row.get('staleness'), 0)} updates"),
        ("mean return, evaluated", f"{mean_return(evaluation)}{at}"),
    )


def _agents(view: View) -> Table:
    row = view.standing.round
    versions = row.get("versions", {})
    earned, title = ("returns", "return") if view.standing.for_return else ("rewards", "reward per step")
    grid = Table("agent", "policy served", box=None, padding=(0, 2), header_style="dim")
    grid.add_column(title, justify="right")
    grid.add_column("service")
    for agent, services in view.agents.items():
        states = ", ".join(sorted({s.state for s in services})) or DASH
        value = number(row.get(earned, {}).get(agent), 2)
        grid.add_row(agent, version(versions.get(agent)), value, states)
    return grid


def failed_episodes(standing: Standing) -> str:
    """Episodes that the environment failed in, with the first cause; empty without any."""
    told = []
    row, evaluation = standing.round, standing.evaluation
    if row.get("failed_episodes"):
        failures = Failures(row["played_episodes"], row["failed_episodes"], row["first_failure"])
        told.append(str(failures))
    if evaluation.get("failed_episodes"):
        episodes = evaluation["episodes"] + evaluation["failed_episodes"]
        told.append(f"evaluation: {Failures(episodes, evaluation['failed_episodes'], evaluation['first_failure'])}")
    return " · ".join(told)


def number(value: Any, digits: int) -> str:
    """A figure, or a dash where there is none."""
    known = isinstance(value, int | float) and math.isfinite(value)
    return f"{value:,.{digits}f}" if known else DASH


def percent(value: Any) -> str:
    """A share in percent with two significant digits below one, or a dash."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return DASH
    share = 100.0 * value
    return f"{share:.1f} %" if abs(share) >= 10 else f"{share:#.2g} %"


def mean_return(evaluation: Mapping[str, Any]) -> str:
    """The mean over agents and episodes with its standard error, or a dash."""
    mean, error = evaluation.get("mean"), evaluation.get("standard_error")
    return f"{number(mean, 2)} ± {number(error, 2)}"


def version(value: Any) -> str:
    """A policy version as epoch.step, or a dash."""
    return ".".join(str(part) for part in value) if isinstance(value, list | tuple) else DASH


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
