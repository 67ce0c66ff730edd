"""One logged episode of a game that is played in a plane, as a moving picture.

A game asks for it by ``facts["arena"]``: ``{"positions", "goal", "half_width", "entities"}``, the names of the info
arrays of positions (B, entities, 2) and of the entity that is the goal (B,) or null, half the width of the square that
is always shown, and per entity its "name", "size" (radius) and "role" ("agent", "adversary" or "landmark").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from trainer.report.data import Run
from trainer.report.episode import Episode, Floats, newest_episode
from trainer.report.figures import Figure, Json, Table, agent_color, number, plain

CORNERS: Final = 25
"""Of the polygon that stands for a circle."""
FRAME_MILLISECONDS: Final = 100
_CIRCLE: Final = np.stack([f(np.linspace(0.0, 2.0 * np.pi, CORNERS)) for f in (np.cos, np.sin)], axis=1)


def episode_figure(run: Run) -> Figure | None:
    """The newest logged episode; None where the game or the log has none."""
    facts = run.environment.get("facts")
    arena = facts.get("arena") if isinstance(facts, dict) else None
    if not isinstance(arena, dict):
        return None
    entities = [entity for entity in arena.get("entities") or [] if isinstance(entity, dict)]
    episode = newest_episode(run.directory / "trajectories", arena, len(entities), run.agents)
    return _figure(run, episode, arena, entities) if episode else None


def _figure(run: Run, episode: Episode, arena: Mapping[str, Any], entities: Sequence[Json]) -> Figure:
    how = "without exploration" if episode.greedy else "exploration included"
    caption = f"Block {episode.block}, copy {episode.copy}, {how}. Circles are drawn to scale; lines are ways so far."
    colors = [_color(run, episode, i, entity) for i, entity in enumerate(entities)]
    moving = [i for i, entity in enumerate(entities) if entity.get("role") != "landmark"]
    first = [_disc(entities[i], colors[i], i == episode.goal) for i in range(len(entities))]
    first += [_way(colors[i]) for i in moving]
    sizes = [float(entity.get("size") or 0.0) for entity in entities]
    frames: list[Json] = [
        {"name": str(t + 1), "data": _placed(episode.positions[: t + 1], sizes, moving)}
        for t in range(len(episode.positions))
    ]
    data = [{**trace, **place} for trace, place in zip(first, frames[0]["data"], strict=True)]
    layout = _layout(episode, float(arena.get("half_width") or 1.0), max(sizes, default=0.0), len(frames))
    table = _table(run, episode, entities)
    return Figure("episode", "One episode", caption, data, layout, table, frames=frames)


def _color(run: Run, episode: Episode, index: int, entity: Json) -> str:
    """An agent's own colour, as everywhere on the page; landmarks are pale, and the goal stands out."""
    if entity.get("role") != "landmark":
        return agent_color(list(run.agents).index(entity["name"]) if entity.get("name") in run.agents else index)
    return "--good" if index == episode.goal else "--muted"


def _disc(entity: Json, color: str, is_goal: bool) -> Json:
    """An entity; an adversary has a dark rim."""
    adversary, landmark = (entity.get("role") == role for role in ("adversary", "landmark"))
    title = f"{entity.get('name', '')}{' (goal)' if is_goal else ''}"
    return {
        "type": "scatter",
        "mode": "lines",
        "fill": "toself",
        "fillcolor": f"{color}/{0.35 if landmark else 0.75}",
        "line": {"color": "--ink" if adversary else color, "width": 2.5 if adversary else 1},
        "name": title,
        "hoverinfo": "name",
        "showlegend": not landmark or is_goal,
    }


def _way(color: str) -> Json:
    line = {"color": f"{color}/0.6", "width": 1.5}
    return {"type": "scatter", "mode": "lines", "line": line, "hoverinfo": "skip", "showlegend": False}


def _placed(positions: Floats, sizes: Sequence[float], moving: Sequence[int]) -> list[Json]:
    """Where everything is at the end of (T, entities, 2), and the ways there."""
    discs = [at + size * _CIRCLE for at, size in zip(positions[-1], sizes, strict=True)]
    ways = [positions[:, i] for i in moving]
    return [{"x": _short(line[:, 0]), "y": _short(line[:, 1])} for line in [*discs, *ways]]


def _short(values: Floats) -> list[float | None]:
    return plain(np.round(values, 3))


def _layout(episode: Episode, half_width: float, margin: float, steps: int) -> Json:
    reach = max(half_width, float(np.abs(episode.positions).max())) + margin
    axis = {"range": [-reach, reach], "zeroline": False, "constrain": "domain"}
    still = {"mode": "immediate", "frame": {"duration": 0, "redraw": False}, "transition": {"duration": 0}}
    play = {**still, "fromcurrent": True, "frame": {"duration": FRAME_MILLISECONDS, "redraw": False}}
    buttons = [
        {"label": label, "method": "animate", "args": args}
        for label, args in (("Play", [None, play]), ("Pause", [[None], still]))
    ]
    moments = [{"label": str(t + 1), "method": "animate", "args": [[str(t + 1)], still]} for t in range(steps)]
    beside = {"font": {"color": "--ink"}, "bordercolor": "--rule", "y": 0, "yanchor": "top"}
    menu = {**beside, "type": "buttons", "direction": "left", "x": 0, "xanchor": "left", "pad": {"t": 30}}
    slider = {**beside, "x": 0.22, "len": 0.78, "pad": {"t": 22}, "currentvalue": {"prefix": "step "}}
    return {
        "height": 620,
        "hovermode": "closest",
        "xaxis": axis,
        "yaxis": {**axis, "scaleanchor": "x"},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        "updatemenus": [{**menu, "bgcolor": "--card", "showactive": False, "buttons": buttons}],
        "sliders": [{**slider, "steps": moments}],
    }


def _table(run: Run, episode: Episode, entities: Sequence[Json]) -> Table:
    earned = {agent: number(value) for agent, value in zip(run.agents, episode.earned, strict=True)}
    rows = []
    for i, entity in enumerate(entities):
        ends = [f"{number(x, 3)}, {number(y, 3)}" for x, y in episode.positions[[0, -1], i]]
        role = "goal" if i == episode.goal else str(entity.get("role", ""))
        name = str(entity.get("name", ""))
        rows.append([name, role, *ends, earned.get(name, "–")])
    return Table(["", "role", "after the first step", "at the end", "return"], rows)
