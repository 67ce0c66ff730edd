"""From a run folder to the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from agora.files import replacing
from trainer.report import learning, returns, summary
from trainer.report.arena import episode_figure
from trainer.report.data import Run, load_run
from trainer.report.figures import Figure, Json
from trainer.report.panels import PanelFigures, panel_figures

FILE: Final = "report.html"


def write_report(run_directory: Path, output: Path | None = None) -> Path:
    """Write the report of a run, finished or not. The same run folder gives the same file.

    Args:
        run_directory: the run's folder.
        output: the file to write; default: ``report.html`` in the run's folder.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: there is no run in the folder.
        OSError: the page cannot be written; the old one is still there.
    """
    page = render(load_run(run_directory))
    path = output or run_directory / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        draft.write_text(page, encoding="utf-8")
    return path


def render(run: Run) -> str:
    """The page of a run."""
    templates = Environment(
        loader=PackageLoader("trainer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    panels = panel_figures(run)
    payoffs = returns.return_figure(run) if run.metrics.for_return else learning.payoff_figure(run)
    episode = episode_figure(run)
    equilibrium = learning.equilibrium_figures(run)
    training = learning.training_figures(run)
    losses = learning.loss_figures(run)
    sections = list(chain.from_iterable(section.figures for section in run.sections))
    figures = [*_of_panels(panels), *filter(None, [payoffs, episode]), *sections, *equilibrium, *training, *losses]
    return templates.get_template("report.html.j2").render(
        run=run,
        headline=summary.headline(run),
        tiles=summary.tiles(run),
        agents=returns.agent_table(run) if run.metrics.for_return else summary.agent_table(run),
        evaluations=returns.evaluation_table(run),
        checks=summary.check_table(run),
        provenance=summary.provenance(run),
        reproduce=summary.reproduce(run),
        panels=panels,
        payoffs=payoffs,
        episode=episode,
        equilibrium=equilibrium,
        training=training,
        losses=losses,
        environment_text=_yaml(run.environment.get("config")),
        figures=_script_json([figure.json() for figure in figures]),
        plotly=Markup(get_plotlyjs()),  # noqa: S704  our own dependency, not input
        style=_asset(templates, "report.css"),
        script=_asset(templates, "report.js"),
    )


def _of_panels(panels: Sequence[PanelFigures]) -> list[Figure]:
    return list(chain.from_iterable([*panel.outcome, panel.course] for panel in panels))


def _asset(templates: Environment, name: str) -> Markup:
    """A file of ours, put into the page as it is."""
    return Markup(templates.get_template(name).render())  # noqa: S704


def _script_json(value: Sequence[Json]) -> Markup:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True) if value else ""
