"""What a run that trains for return has to show: its learning curve, and the same in words and tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from trainer.report.data import Run
from trainer.report.figures import SYMBOLS, Figure, Json, Series, Table, agent_color, number, plain, thinned
from trainer.report.learning import plot
from trainer.report.metrics import Evaluation

NORMAL_95: Final = 1.96
"""Standard errors on either side of a mean that hold its expectation in 95 of 100 cases."""


def return_figure(run: Run) -> Figure | None:
    """Return per agent: evaluated greedily, with bands of 95 %, and as collected (faint)."""
    evaluations, rounds = run.metrics.evaluations, run.metrics.rounds
    series: list[Series] = []
    for i, agent in enumerate(run.agents):
        style = {"mode": "lines+markers", "marker": {"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 7}}
        faint: Json = {"line": {"color": agent_color(i), "width": 1}, "opacity": 0.4, "showlegend": not evaluations}
        collected = [r.returns.get(agent, math.nan) for r in rounds]
        name, steps = f"{run.titles[agent]}, in training", [r.environment_steps for r in rounds]
        series.append(Series(name, steps, collected, agent_color(i), faint))
        steps, means = [e.environment_steps for e in evaluations], [e.returns.get(agent, math.nan) for e in evaluations]
        series.append(Series(run.titles[agent], steps, means, agent_color(i), style))
    caption = (
        "Markers: greedy play of fixed episodes, with 95 % bands of the mean. Faint: as collected, with exploration."
    )
    figure = plot(run, "returns", "Return of each agent", caption, series, "mean return of an episode")
    if figure is None:
        return None
    return dataclasses.replace(figure, data=[*_bands(run, evaluations), *figure.data])


def _bands(run: Run, evaluations: Sequence[Evaluation]) -> list[Json]:
    """Per agent the area between the ends of its means' intervals."""
    shown = [evaluations[i] for i in thinned(len(evaluations))] if evaluations else []
    found = []
    for i, agent in enumerate(run.agents):
        known = [e for e in shown if math.isfinite(e.standard_errors.get(agent, math.nan))]
        steps = [float(e.environment_steps) for e in known]
        ends = [[e.returns[agent] + sign * NORMAL_95 * e.standard_errors[agent] for e in known] for sign in (1.0, -1.0)]
        found.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": plain([*steps, *reversed(steps)]),
                "y": plain([*ends[0], *reversed(ends[1])]),
                "fill": "toself",
                "fillcolor": f"{agent_color(i)}/0.14",
                "line": {"width": 0},
                "hoverinfo": "skip",
                "showlegend": False,
            }
        )
    return found


def sentence(run: Run) -> str:
    """What the run came to."""
    if not run.metrics.evaluations:
        return "No evaluation was made."
    last = run.metrics.evaluations[-1]
    told = f"Mean return {mean(last)} over {last.episodes:,} episodes at the last evaluation."
    if last.failed_episodes:
        told += f" The environment failed in {last.failed_episodes:,} more: {last.first_failure}."
    return told


def mean(evaluation: Evaluation) -> str:
    """The mean over agents and episodes, with its standard error."""
    return f"{number(evaluation.mean)} ± {number(evaluation.standard_error, 2)}"


def agent_table(run: Run) -> Table:
    """Per agent: its return evaluated and in training, and the version that acts for it."""
    last = run.metrics.evaluations[-1] if run.metrics.evaluations else None
    trained = run.metrics.rounds[-1] if run.metrics.rounds else None
    rows = []
    for agent in run.agents:
        evaluated = last.returns.get(agent, math.nan) if last else math.nan
        error = last.standard_errors.get(agent, math.nan) if last else math.nan
        version = trained.versions.get(agent) if trained else None
        rows.append(
            [
                run.titles[agent],
                number(evaluated, 5, trim=False),
                number(error, 3, trim=False),
                number(trained.returns.get(agent, math.nan) if trained else math.nan, 5, trim=False),
                f"{version[0]}.{version[1]}" if version else "–",
            ]
        )
    return Table(["Agent", "Mean return", "Standard error", "In training, last round", "Version in that round"], rows)


def evaluation_table(run: Run) -> Table:
    """Every evaluation."""
    headers = [
        "Round",
        "Joint actions",
        "Episodes",
        "Failed",
        "Mean",
        "Standard error",
        *(run.titles[a] for a in run.agents),
    ]
    rows = [
        [
            f"{e.round:,}",
            f"{e.environment_steps:,}",
            f"{e.episodes:,}",
            f"{e.failed_episodes:,}",
            number(e.mean, 5),
            number(e.standard_error, 3),
            *(number(e.returns.get(agent, math.nan), 5) for agent in run.agents),
        ]
        for e in run.metrics.evaluations
    ]
    return Table(headers, rows)
