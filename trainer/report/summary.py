"""The run in words and numbers: headline, tiles, and a table of the agents."""

from __future__ import annotations

import hashlib
import math
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata

from agora.failures import Failures
from trainer.report import returns
from trainer.report.data import Run
from trainer.report.figures import Table, number, percent

SOFTWARE = ("agora", "numpy", "torch", "onnx", "onnxruntime", "grpcio", "pyarrow", "plotly")


@dataclass(frozen=True)
class Headline:
    """How the run ended: ``tone`` is good, fair or bad."""

    tone: str
    status: str
    sentence: str


@dataclass(frozen=True)
class Tile:
    """One figure of the headline."""

    label: str
    value: str
    note: str = ""


def headline(run: Run) -> Headline:
    """Did it converge, and what does that mean? Episodes that failed are told, with the first cause."""
    found = _outcome(run)
    last = run.metrics.rounds[-1] if run.metrics.rounds else None
    if last is None or not last.failed_episodes:
        return found
    failures = Failures(last.played_episodes, last.failed_episodes, last.first_failure)
    return replace(found, sentence=f"{found.sentence} In training, {failures}.")


def _outcome(run: Run) -> Headline:
    end, checks = run.metrics.end, run.metrics.checks
    if end is None:
        tone, status = "bad", "Unfinished: the run was stopped before its end"
    elif run.metrics.for_return:
        tone, status = "good", "Trained to the end of its budget"
    elif end.reason == "converged":
        tone, status = "good", "Converged"
    elif end.reason == "budget":
        tone, status = "fair", "Not converged within its budget"
    else:
        tone, status = "fair", f"Ended: {end.reason}"
    if run.metrics.for_return:
        verdict = f" The greedy joint action: {end.verdict}." if end is not None and end.verdict else ""
        return Headline(tone, status, returns.sentence(run) + verdict)
    if not checks:
        return Headline(tone, status, "No equilibrium check was made.")
    last, epsilon = checks[-1], run.training("epsilon")
    limit = f" The limit is {percent(epsilon)}." if epsilon else ""
    sentence = (
        f"At the last check all agents together could still gain {_money(run, last.nash_conv)} per step by "
        f"deviating alone: {percent(last.relative)} of total profit.{limit}"
    )
    return Headline(tone, status, sentence)


def tiles(run: Run) -> list[Tile]:
    """The figures one asks for first."""
    first = _return_tiles(run) if run.metrics.for_return else _equilibrium_tiles(run)
    return [*first, *_effort_tiles(run)]


def _return_tiles(run: Run) -> list[Tile]:
    evaluations, rounds = run.metrics.evaluations, run.metrics.rounds
    cpu = rounds[-1].learner_cpu_seconds if rounds else math.nan
    return [
        Tile("Mean return", returns.mean(evaluations[-1]) if evaluations else "–", "greedy, over agents and episodes"),
        Tile("Updates", f"{rounds[-1].updates:,}" if rounds else "–", f"{number(cpu, 3)} s of the trainer's processor"),
        Tile("Too old to learn from", f"{rounds[-1].stale:,}" if rounds else "–", "joint actions dropped"),
    ]


def _equilibrium_tiles(run: Run) -> list[Tile]:
    checks, epsilon = run.metrics.checks, run.training("epsilon")
    limit = f"; limit {percent(epsilon)}" if epsilon else ""
    return [
        Tile("NashConv, verified", percent(checks[-1].relative) if checks else "–", f"of total profit{limit}"),
        Tile("ANI", number(checks[-1].ani, 5) if checks else "–", "1: nobody can improve"),
    ]


def _effort_tiles(run: Run) -> list[Tile]:
    metrics, budget = run.metrics, run.training("max_environment_steps")
    steps = [r.environment_steps for r in metrics.rounds[-1:]] + [c.environment_steps for c in metrics.checks[-1:]]
    versions = list(metrics.rounds[-1].versions.values()) if metrics.rounds else []
    looks = f"{len(metrics.evaluations):,} evaluations" if metrics.for_return else f"{len(metrics.checks):,} checks"
    oldest = f"oldest: {_version(min(versions))}" if len(set(versions)) > 1 else "the same for all agents"
    return [
        Tile("Joint actions", f"{max(steps):,}" if steps else "–", f"of {budget:,.0f} at most" if budget else ""),
        Tile("Wall time", duration(metrics.active_seconds), f"{_speed(run)} joint actions per second"),
        Tile("Version served", _version(max(versions, default=None)), oldest if versions else ""),
        Tile("Rounds", f"{metrics.rounds[-1].round:,}" if metrics.rounds else "–", looks),
        Tile("Restarts", str(len(metrics.starts[1:])), _resumed_note(run)),
    ]


def agent_table(run: Run) -> Table:
    """Per agent: outcome of every panel beside its reference, profit, and what deviating would add."""
    shown = [panel for panel in run.panels if panel.info in run.log.infos]
    check = run.metrics.checks[-1] if run.metrics.checks else None
    versions = run.metrics.rounds[-1].versions if run.metrics.rounds else {}
    headers = ["Agent"]
    for panel in shown:
        headers.append(f"Mean {panel.title[:1].lower()}{panel.title[1:]}" + (f", {panel.unit}" if panel.unit else ""))
        headers += [panel.reference_title.capitalize()] if any(panel.references) else []
    unit = f", {run.currency}" if run.currency else ""
    headers += [f"Profit per step{unit}", "Best deviation gains", "Version"]
    rows = []
    for i, agent in enumerate(run.agents):
        row = [run.titles[agent]]
        for panel in shown:
            row.append(number(float(run.log.infos[panel.info].middle[i].mean()), trim=False))
            reference = panel.references[i]
            row += (
                [number(statistics.fmean(reference), trim=False) if reference else "–"] if any(panel.references) else []
            )
        payoff = check.payoffs.get(agent, math.nan) if check else math.nan
        best = check.best_response_payoffs.get(agent, math.nan) if check else math.nan
        gain = percent((best - payoff) / abs(payoff)) if payoff else "–"
        rows.append([*row, number(payoff, 5, trim=False), gain, _version(versions.get(agent))])
    return Table(headers, rows)


def check_table(run: Run) -> Table:
    """Every equilibrium check."""
    headers = ["Round", "Joint actions", "Verified", "of profit", "Estimated", "of profit", "ANI", "Payoff evaluations"]
    rows = [
        [
            f"{c.round:,}",
            f"{c.environment_steps:,}",
            number(c.nash_conv),
            percent(c.relative),
            number(c.nash_conv_estimated),
            percent(c.relative_estimated),
            number(c.ani, 5),
            f"{c.evaluations:,}",
        ]
        for c in run.metrics.checks
    ]
    return Table(headers, rows)


def provenance(run: Run) -> list[tuple[str, str]]:
    """Where the figures come from, and how to get them again."""
    game = run.environment.get("name") or "–"
    lines = [
        ("Game", str(game)),
        ("Agents", str(len(run.agents))),
        ("Seed", str(run.config.get("seed", "–"))),
        ("Started", _date(run.metrics.starts[0].time if run.metrics.starts else math.nan)),
        ("Trajectory log", f"{run.log.parts:,} parts" if run.log.parts else "none"),
        ("Configuration, SHA-256", hashlib.sha256(run.config_text.encode()).hexdigest() if run.config_text else "–"),
        ("Report written with", ", ".join(_software())),
    ]
    torn = [
        f"{count:,} {what}"
        for count, what in ((run.metrics.unreadable, "metrics rows"), (run.log.unreadable, "log parts"))
        if count
    ]
    wrong = [("Could not be read", ", ".join(torn)), ("Not in the log exactly once", ", ".join(_not_once(run)))]
    return lines + [line for line in wrong if line[1]]


def _not_once(run: Run) -> list[str]:
    """What the trajectory log lacks of the rounds and checks that were told, and what it has twice."""
    training = run.config.get("training")
    training = training if isinstance(training, dict) else {}
    said = [f"{run.log.doubled:,} rows doubled"] if run.log.doubled else []
    blocks = training.get("blocks_per_round", 1)
    if training.get("log", True) is not True or not isinstance(blocks, int) or not run.log.parts:
        return said
    # Every round has so many blocks and every check has one, numbered as they come.
    played = len(run.metrics.rounds) * blocks + len(run.metrics.checks)
    missing = sorted(set(range(played)) - run.log.blocks)
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", …" if len(missing) > 5 else "")
        said.insert(0, f"{len(missing):,} of {played:,} blocks missing ({shown})")
    return said


def reproduce(run: Run) -> str:
    """The command that plays the run again."""
    directory = run.directory
    shown = directory.name if directory.is_absolute() else directory.as_posix()
    return f"agora run {shown}/config.yaml"


def duration(seconds: float) -> str:
    """A time for people: ``42 s``, ``3 min 05 s``, ``2 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _money(run: Run, value: float) -> str:
    return f"{number(value)} {run.currency}".rstrip()


def _speed(run: Run) -> str:
    speeds = [r.steps_per_second for r in run.metrics.rounds if math.isfinite(r.steps_per_second)]
    return number(statistics.median(speeds), 3) if speeds else "–"


def _version(version: Sequence[int] | None) -> str:
    """A version as (trainer epoch, step) with a dot between."""
    return f"{version[0]}.{version[1]}" if version else "–"


def _resumed_note(run: Run) -> str:
    steps = [f"{step:,}" for step, _ in run.metrics.resumes()]
    if not steps:
        return "ran in one go"
    more = f" and {len(steps) - 3} more" if len(steps) > 3 else ""
    return f"resumed at {', '.join(steps[:3])}{more} joint actions"


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC") if math.isfinite(time) else "–"


def _software() -> list[str]:
    """Versions of what is installed here."""
    found = [f"Python {platform.python_version()}"]
    for name in SOFTWARE:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found
