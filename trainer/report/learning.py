"""Figures of how the run learned: profits, equilibrium measures, versions, noise, losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from trainer.report.data import Run
from trainer.report.figures import SYMBOLS, Figure, Json, Series, agent_color, evolution, reference_line
from trainer.report.metrics import Check

RATIO_TICKS: Final = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1, 1.25, 2, 5, 10, 20, 50, 100]
RATIO_BAND: Final = (0.8, 1.25)
"""Verified over estimated NashConv: inside this band the critics' estimate can be trusted."""


def payoff_figure(run: Run) -> Figure | None:
    """Profit per agent: at the checks (markers), and as collected with noise (faint)."""
    checks, rounds = run.metrics.checks, run.metrics.rounds
    series: list[Series] = []
    for i, agent in enumerate(run.agents):
        steps = [c.environment_steps for c in checks]
        payoffs = [c.payoffs.get(agent, math.nan) for c in checks]
        style = {"mode": "lines+markers", "marker": {"symbol": SYMBOLS[i % len(SYMBOLS)], "size": 7}}
        collected = [r.rewards.get(agent, math.nan) for r in rounds]
        faint: Json = {"line": {"color": agent_color(i), "width": 1}, "opacity": 0.4, "showlegend": not checks}
        name = f"{run.titles[agent]}, collected" if checks else run.titles[agent]
        series.append(Series(name, [r.environment_steps for r in rounds], collected, agent_color(i), faint))
        if checks:
            series.append(Series(run.titles[agent], steps, payoffs, agent_color(i), style))
    word = "Profit" if run.currency else "Payoff"
    caption = "Markers: at the checks, without exploration. Faint: as collected, with it."
    y_title = f"per step, {run.currency}" if run.currency else "per step"
    return plot(run, "payoffs", f"{word} of each agent", caption, series, y_title)


def equilibrium_figures(run: Run) -> list[Figure]:
    """NashConv by critic and by the true payoff, their ratio, and ANI."""
    return [figure for figure in (_nash_conv(run), _calibration(run), _ani(run)) if figure]


def training_figures(run: Run) -> list[Figure]:
    """Versions served, their age, exploration and speed."""
    rounds = run.metrics.rounds
    steps = [r.environment_steps for r in rounds]
    noise = Series("noise", steps, [r.noise for r in rounds], "--accent")
    speed = Series("speed", steps, [r.steps_per_second for r in rounds], "--accent")
    epsilon = Series("epsilon", steps, [r.epsilon for r in rounds], "--accent")
    age = Series("age", steps, [r.staleness for r in rounds], "--accent")
    aged = "Updates that the learner was ahead of the policies that played the round."
    random = "Share of choices that are drawn uniformly."
    figures = [
        _versions(run),
        plot(run, "staleness", "Age of the acting policies", aged, [age], "updates", _zero()),
        plot(run, "epsilon", "Exploration, ε", random, _used(epsilon), "share", _zero()),
        plot(run, "noise", "Exploration noise", "Scale of the noise on every action.", _used(noise), "scale", _zero()),
        plot(run, "speed", "Speed", "Joint actions per second, round by round.", [speed], "steps/s", _zero()),
    ]
    return [figure for figure in figures if figure]


def loss_figures(run: Run) -> list[Figure]:
    """One plot per loss, in the trainer's own names."""
    rounds = run.metrics.rounds
    names = dict.fromkeys(name for r in rounds for name in r.losses)
    figures = []
    for i, name in enumerate(names):
        values = [r.losses.get(name, math.nan) for r in rounds]
        series = Series(name, [r.environment_steps for r in rounds], values, "--accent")
        figures.append(plot(run, f"loss-{i}", name, "Mean of the round.", [series], "loss"))
    return [figure for figure in figures if figure]


def plot(
    run: Run, name: str, title: str, caption: str, series: Sequence[Series], y_title: str, layout: Json | None = None
) -> Figure | None:
    """The lines that hold any number, or None where none does."""
    known = [item for item in series if any(math.isfinite(value) for value in item.y)]
    if not known:
        return None
    x_title = "joint actions" if run.metrics.for_return else "joint actions evaluated"
    return evolution(name, title, caption, known, y_title, layout, run.metrics.resumes(), x_title)


def _used(series: Series) -> list[Series]:
    """The series, unless it is zero throughout: then the learner explores in another way."""
    return [series] if any(series.y) else []


def _zero() -> Json:
    return {"yaxis": {"rangemode": "tozero"}}


def _nash_conv(run: Run) -> Figure | None:
    series = [
        _share(run, "verified by the true payoff", lambda c: c.relative, "--accent", "circle"),
        _share(run, "estimated by the critics", lambda c: c.relative_estimated, "--second", "diamond"),
    ]
    layout: Json = {"yaxis": {"type": "log", "tickformat": "~g"}}
    epsilon = run.training("epsilon")
    if epsilon:
        layout |= reference_line(100 * epsilon, f"limit ε = {100 * epsilon:g} %", log=True)
    caption = "What all agents together could still gain by deviating alone, as a share of total profit (log axis)."
    return plot(run, "nash-conv", "NashConv", caption, series, "% of total profit", layout)


def _share(run: Run, name: str, value: Callable[[Check], float], color: str, symbol: str) -> Series:
    """A share in per cent for a log axis: zero or less is drawn open, at the lowest positive value."""
    checks = run.metrics.checks
    shares = [100 * value(c) for c in checks]
    floor = min((x for x in shares if x > 0), default=1e-6)
    symbols = [symbol if not x <= 0 else "triangle-down-open" for x in shares]
    style: Json = {
        "mode": "lines+markers",
        "marker": {"symbol": symbols, "size": 8},
        "customdata": [x if math.isfinite(x) else None for x in shares],
        "hovertemplate": "%{customdata:.4~g} %",
    }
    drawn = [floor if x <= 0 else x for x in shares]
    return Series(name, [c.environment_steps for c in checks], drawn, color, style)


def _calibration(run: Run) -> Figure | None:
    """Verified over estimated; open markers where the verified one is 1 % or less."""
    checks = [c for c in run.metrics.checks if c.nash_conv > 0 and c.nash_conv_estimated > 0]
    ratios = [c.nash_conv / c.nash_conv_estimated for c in checks]
    symbols = ["circle" if c.relative > 0.01 else "circle-open" for c in checks]
    style = {"mode": "lines+markers", "marker": {"symbol": symbols, "size": 8}}
    series = Series("verified / estimated", [c.environment_steps for c in checks], ratios, "--accent", style)
    low, high = RATIO_BAND
    band = {"type": "rect", "xref": "paper", "x0": 0, "x1": 1, "y0": low, "y1": high, "layer": "between"}
    ends = [min([0.5, *ratios]) / 1.1, max([2.0, *ratios]) * 1.1]
    layout: Json = {
        "yaxis": {"type": "log", "range": [math.log10(end) for end in ends], "tickvals": RATIO_TICKS},
        "shapes": [band | {"fillcolor": "--good/0.16", "line": {"width": 0}}],
    }
    caption = (
        f"Verified over estimated NashConv; band: {low:g} to {high:g}. "
        "Open markers: NashConv is 1 % or less, where the ratio means little."
    )
    return plot(run, "calibration", "Can the critics' estimate be trusted?", caption, [series], "ratio", layout)


def _ani(run: Run) -> Figure | None:
    checks = run.metrics.checks
    style = {"mode": "lines+markers", "marker": {"size": 7}}
    series = Series("ANI", [c.environment_steps for c in checks], [c.ani for c in checks], "--accent", style)
    caption = "Current over best-response payoff, mean over agents; 1: nobody can improve."
    return plot(run, "ani", "ANI", caption, [series], "ANI", reference_line(1.0, ""))


def _versions(run: Run) -> Figure | None:
    """Step lines; the first agents' are drawn broader, so that equal versions stay visible."""
    rounds = run.metrics.rounds
    series = []
    for i, agent in enumerate(run.agents):
        known = [r for r in rounds if agent in r.versions]
        style: Json = {
            "line": {"color": agent_color(i), "shape": "hv", "width": max(1.5, 6 - 1.5 * i)},
            "text": [f"epoch {r.versions[agent][0]}, step {r.versions[agent][1]}" for r in known],
            "hovertemplate": "%{text}",
        }
        steps = [float(r.versions[agent][1]) for r in known]
        series.append(Series(run.titles[agent], [r.environment_steps for r in known], steps, agent_color(i), style))
    caption = "Step of the version that acted, round by round; lines on top of each other: the same version."
    return plot(run, "versions", "Policy version served", caption, series, "version's step", _zero())
