"""Figures of what the game asks to have drawn: where the agents ended up, and how they got there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trainer.report.data import Panel, Run
from trainer.report.figures import Figure, Json, Series, Table, agent_color, evolution, number, plain
from trainer.report.trajectories import InfoValues

MOST_SMALL_PLOTS: Final = 12
"""With more agents than this a panel is one map of colours in place of a plot per agent."""
MOST_TICKS: Final = 4


@dataclass(frozen=True)
class PanelFigures:
    """A panel on the page: one plot per agent (or one map), and the means over the run."""

    title: str
    unit: str
    note: str
    outcome: Sequence[Figure]
    course: Figure


def panel_figures(run: Run) -> list[PanelFigures]:
    """The panels for which there is anything to draw.

    Without a trajectory log, the actions of the equilibrium checks stand in for them.
    """
    drawn = [_drawn(run, panel, i) for i, panel in enumerate(run.panels)]
    found = [figures for figures in drawn if figures]
    return found or [figures for figures in [_actions(run)] if figures]


def _drawn(run: Run, panel: Panel, index: int) -> PanelFigures | None:
    values = run.log.infos.get(panel.info)
    if values is None:
        return None
    noise = "played without exploration" if values.greedy else "exploration noise included"
    note = f"Median over the {values.copies} copies of block {values.block}, {noise}; whiskers from 10 % to 90 %."
    return _figures(run, panel, values, f"panel-{index}", note, "joint actions logged")


def _actions(run: Run) -> PanelFigures | None:
    """The greedy actions of the checks, drawn like a panel."""
    checks = [c for c in run.metrics.checks if set(run.agents) <= set(c.actions)]
    size = max((len(checks[-1].actions[agent]) for agent in run.agents), default=0) if checks and run.agents else 0
    if not size:
        return None
    padded = [[_pad(c.actions[agent], size) for agent in run.agents] for c in checks]
    actions = np.array(padded, dtype=np.float64)
    last = actions[-1]
    steps = np.array([c.environment_steps for c in checks], dtype=np.int64)
    values = InfoValues(last, last, last, 0, True, 1, steps, np.nanmean(actions, axis=2))
    labels = [str(i) for i in range(size)]
    panel = Panel("Actions", "", "", labels, [None] * len(run.agents), "reference")
    note = "The trajectory log was off: these are the actions, as the policies state them, at the last check."
    return _figures(run, panel, values, "actions", note, "joint actions evaluated")


def _pad(values: Sequence[float], size: int) -> list[float]:
    return [*values[:size], *[float("nan")] * (size - len(values))]


def _figures(run: Run, panel: Panel, values: InfoValues, name: str, note: str, x_title: str) -> PanelFigures:
    if len(run.agents) > MOST_SMALL_PLOTS:
        outcome = [_map(run, panel, values, name)]
    else:
        limits = _limits(panel, values)
        outcome = [_bars(run, panel, values, f"{name}-{i}", i, limits) for i in range(len(run.agents))]
    return PanelFigures(panel.title, panel.unit, note, outcome, _course(run, panel, values, name, x_title))


def _limits(panel: Panel, values: InfoValues) -> tuple[float, float]:
    """One range of y for all agents of a panel, so that their plots compare."""
    references = [value for row in panel.references if row for value in row]
    everything = np.concatenate([values.low.ravel(), values.high.ravel(), references, [0.0]])
    low, high = float(np.nanmin(everything)), float(np.nanmax(everything))
    margin = 0.06 * ((high - low) or 1.0)
    return (low - margin if low < 0 else 0.0), (high + margin if high > 0 else 0.0)


def _bars(run: Run, panel: Panel, values: InfoValues, name: str, agent: int, limits: tuple[float, float]) -> Figure:
    title = run.titles[run.agents[agent]]
    reference = panel.references[agent]
    data = [_bar_trace(panel, values, agent, title)]
    rows = [[label, number(values.middle[agent, i], trim=False)] for i, label in enumerate(panel.labels)]
    headers = ["", _with_unit(panel.title, panel.unit)]
    caption = f"Mean {number(float(np.nanmean(values.middle[agent])))} {panel.unit}".rstrip()
    if reference:
        data.append(_reference_trace(panel, reference))
        rows = [[*row, number(reference[i], trim=False)] for i, row in enumerate(rows)]
        headers.append(panel.reference_title)
        caption += f", {panel.reference_title} {number(float(np.mean(reference)))}"
    layout: Json = {
        "xaxis": _label_axis(panel.labels),
        "yaxis": {"range": plain(limits), "title": {"text": panel.unit}},
        "showlegend": False,
    }
    return Figure(name, title, f"{caption}.", data, layout, Table(headers, rows), small=True)


def _bar_trace(panel: Panel, values: InfoValues, agent: int, title: str) -> Json:
    middle, low, high = values.middle[agent], values.low[agent], values.high[agent]
    spread = {
        "type": "data",
        "symmetric": False,
        "array": plain(high - middle),
        "arrayminus": plain(middle - low),
        "visible": bool(np.any(high > low)),
        "color": "--ink/0.55",
        "thickness": 1.2,
        "width": 3,
    }
    return {
        "type": "bar",
        "name": title,
        "x": list(range(len(panel.labels))),
        "y": plain(middle),
        "text": list(panel.labels),
        "textposition": "none",
        "error_y": spread,
        "marker": {"color": agent_color(agent), "cornerradius": 3},
        "hovertemplate": f"%{{text}}: %{{y:.5~g}} {panel.unit}<extra></extra>",
    }


def _reference_trace(panel: Panel, reference: Sequence[float]) -> Json:
    """A dashed step over the whole width of each label's bar."""
    edges = [edge for i in range(len(reference)) for edge in (i - 0.5, i, i + 0.5)]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": panel.reference_title,
        "x": edges,
        "y": plain(value for value in reference for _ in range(3)),
        "line": {"color": "--ink", "width": 2, "dash": "dash"},
        "hovertemplate": f"{panel.reference_title}: %{{y:.5~g}} {panel.unit}<extra></extra>",
    }


def _label_axis(labels: Sequence[str]) -> Json:
    every = -(-len(labels) // MOST_TICKS)
    ticks = list(range(0, len(labels), every))
    return {
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": [labels[i] for i in ticks],
        "range": [-0.55, len(labels) - 0.45],
        "showgrid": False,
        "zeroline": False,
    }


def _map(run: Run, panel: Panel, values: InfoValues, name: str) -> Figure:
    """Agents by labels, as colours: for games with many agents."""
    titles = [run.titles[agent] for agent in run.agents]
    data: Json = {
        "type": "heatmap",
        "x": list(panel.labels),
        "y": titles,
        "z": [plain(row) for row in values.middle],
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": panel.unit}, "thickness": 12},
        "hovertemplate": f"%{{y}}, %{{x}}: %{{z:.5~g}} {panel.unit}<extra></extra>",
    }
    layout: Json = {
        "xaxis": {"type": "category"},
        "yaxis": {"type": "category", "autorange": "reversed"},
        "height": 90 + 22 * len(titles),
    }
    rows = [[title, *(number(x) for x in values.middle[i])] for i, title in enumerate(titles)]
    caption = f"Every agent's {panel.title[:1].lower()}{panel.title[1:]}."
    return Figure(f"{name}-map", panel.title, caption, [data], layout, Table(["", *panel.labels], rows))


def _course(run: Run, panel: Panel, values: InfoValues, name: str, x_title: str) -> Figure:
    """Each agent's mean over the run, with its mean reference dotted."""
    series = []
    steps = [float(step) for step in values.steps]
    for i, agent in enumerate(run.agents):
        series.append(Series(run.titles[agent], steps, values.means[:, i].tolist(), agent_color(i)))
        reference = panel.references[i]
        if reference and len(run.agents) <= MOST_SMALL_PLOTS:
            level = [float(np.mean(reference))] * 2
            style: Json = {"line": {"color": agent_color(i), "width": 1.5, "dash": "dot"}, "opacity": 0.75}
            title = f"{run.titles[agent]}, {panel.reference_title}"
            series.append(Series(title, [steps[0], steps[-1]], level, agent_color(i), style | {"showlegend": False}))
    dotted = f" Dotted: {panel.reference_title}." if any(panel.references) else ""
    caption = f"Mean over all {len(panel.labels)} values of each agent.{dotted}"
    return evolution(f"{name}-course", "Over the run", caption, series, _with_unit("mean", panel.unit), x_title=x_title)


def _with_unit(text: str, unit: str) -> str:
    return f"{text} ({unit})" if unit else text
