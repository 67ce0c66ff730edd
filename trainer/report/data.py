"""Read a run folder as it lies on disk; a part that is missing or torn reads as empty."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainer.report.metrics import Metrics, read_metrics
from trainer.report.sections import Section, read_sections
from trainer.report.trajectories import Log, Shape, read_log

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One info array that the game asks to have drawn, per agent and label.

    Attributes:
        title: what the reader sees.
        info: the array's name in the log.
        unit: for example "AUD/kWh".
        labels: one per column, for example the periods of a day.
        references: per agent what to compare with: nothing, or one number per label.
        reference_title: what the reference is.
    """

    title: str
    info: str
    unit: str
    labels: Sequence[str]
    references: Sequence[Sequence[float] | None]
    reference_title: str


@dataclass(frozen=True)
class Run:
    """Everything that a report draws on.

    Attributes:
        directory: the run folder.
        config_text: the resolved experiment as written.
        config: the same, parsed.
        environment: ``environment.json``.
        agents: ids in the game's order.
        titles: per id, what the reader sees.
        currency: the unit of payoffs, or "".
        panels: what the game asks to have drawn.
        metrics: the trainer's rows.
        log: the panels' info arrays from the trajectory log.
        sections: what other rooms measured.
    """

    directory: Path
    config_text: str
    config: Json
    environment: Json
    agents: Sequence[str]
    titles: Mapping[str, str]
    currency: str
    panels: Sequence[Panel]
    metrics: Metrics
    log: Log
    sections: Sequence[Section]

    @property
    def name(self) -> str:
        """The experiment's name, or the folder's."""
        return str(self.config.get("name") or self.directory.resolve().name)

    def training(self, key: str) -> float | None:
        """A number of the training settings, or None where the run does not state it."""
        settings = self.config.get("training")
        value = settings.get(key) if isinstance(settings, dict) else None
        return float(value) if isinstance(value, int | float) else None


def load_run(directory: Path) -> Run:
    """Read a run folder.

    Raises:
        FileNotFoundError: it is not a folder, or holds neither a configuration nor metrics.
    """
    known = ("config.yaml", "environment.json", "metrics.jsonl")
    if not any((directory / name).is_file() for name in known):
        raise FileNotFoundError(f"{directory}: expected a run folder with {', '.join(known)}, found none of them")
    config_text = _text(directory / "config.yaml")
    environment = _mapping(_json(_text(directory / "environment.json")))
    metrics = read_metrics(directory / "metrics.jsonl")
    agents = [str(agent) for agent in environment.get("agents") or _agents_of(metrics)]
    facts = _mapping(environment.get("facts"))
    panels = [panel for item in facts.get("panels") or [] if (panel := _panel(_mapping(item), agents))]
    shapes: dict[str, Shape] = {panel.info: (len(agents), len(panel.labels)) for panel in panels}
    titles = _mapping(facts.get("agent_titles"))
    return Run(
        directory=directory,
        config_text=config_text,
        config=_mapping(_yaml(config_text)),
        environment=environment,
        agents=agents,
        titles={agent: str(titles.get(agent, agent)) for agent in agents},
        currency=str(facts.get("currency") or ""),
        panels=panels,
        metrics=metrics,
        log=read_log(directory / "trajectories", shapes),
        sections=read_sections(directory / "sections"),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _yaml(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _agents_of(metrics: Metrics) -> list[str]:
    """Ids as the rows name them, where the environment's own list is missing."""
    rows = [named for row in metrics.rounds[-1:] for named in (row.rewards, row.returns)]
    rows += [row.payoffs for row in metrics.checks[-1:]]
    return list(dict.fromkeys(agent for row in rows for agent in row))


def _panel(item: Json, agents: Sequence[str]) -> Panel | None:
    """A panel as the game states it, or None if it names no array or has no labels."""
    info, labels = item.get("info"), item.get("labels")
    if not (isinstance(info, str) and isinstance(labels, list) and labels):
        return None
    given = item.get("reference")
    if isinstance(given, dict):
        given = [given.get(agent) for agent in agents]
    references = list(given) if isinstance(given, list) else []
    references += [None] * (len(agents) - len(references))
    return Panel(
        title=str(item.get("title") or info),
        info=info,
        unit=str(item.get("unit") or ""),
        labels=[str(label) for label in labels],
        references=[_reference(value, len(labels)) for value in references[: len(agents)]],
        reference_title=str(item.get("reference_title") or "reference"),
    )


def _reference(value: object, labels: int) -> list[float] | None:
    values: list[Any] = value if isinstance(value, list) else [value] * labels
    known = len(values) == labels and all(isinstance(x, int | float) and math.isfinite(x) for x in values)
    return [float(x) for x in values] if known else None
