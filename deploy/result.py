"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.metrics_tail import Standing
from deploy.view import DASH, failed_episodes, mean_return, number, percent

_REASONS = {"converged": "converged: nobody can gain by deviating", "budget": "stopped at max_environment_steps"}


def print_result(
    console: Console, standing: Standing, environment: Mapping[str, Any], seconds: float, restarts: Mapping[str, int]
) -> None:
    """Print what a run came to.

    Args:
        console: where to.
        standing: the run's last rows.
        environment: ``environment.json``.
        seconds: wall time of this launch.
        restarts: per process, where there were any.
    """
    if standing.for_return:
        console.print(_returns(standing.evaluation, environment))
        console.print(_grid(_return_figures(standing), standing, seconds, restarts))
    else:
        console.print(_agents(standing.check, environment))
        console.print(_grid(_equilibrium_figures(standing), standing, seconds, restarts))


def _agents(check: Mapping[str, Any], environment: Mapping[str, Any]) -> Table:
    facts = environment.get("facts") or {}
    titles, unit = facts.get("agent_titles") or {}, f" ({facts['currency']})" if facts.get("currency") else ""
    action = facts.get("action") or {"title": "action", "unit": "share of bounds", "low": 0.0, "high": 1.0}
    table = Table("agent", title="The last check, without noise", title_justify="left")
    for title in (f"mean {action['title']} ({action['unit']})", f"profit{unit}", f"regret{unit}", "regret / profit"):
        table.add_column(title, justify="right")
    payoffs, best = check.get("payoffs") or {}, check.get("best_response_payoffs") or {}
    for agent in environment.get("agents") or list(payoffs):
        share = _mean((check.get("actions") or {}).get(agent))
        level = None if share is None else action["low"] + share * (action["high"] - action["low"])
        profit, top = payoffs.get(agent), best.get(agent)
        regret = top - profit if profit is not None and top is not None else None
        ratio = percent(regret / profit) if regret is not None and profit else DASH
        table.add_row(str(titles.get(agent, agent)), number(level, 4), number(profit, 2), number(regret, 4), ratio)
    return table


def _returns(evaluation: Mapping[str, Any], environment: Mapping[str, Any]) -> Table:
    title = f"The last evaluation, greedy, {number(evaluation.get('episodes'), 0)} episodes"
    table = Table("agent", title=title, title_justify="left")
    for name in ("mean return", "standard error"):
        table.add_column(name, justify="right")
    means, errors = evaluation.get("returns") or {}, evaluation.get("standard_errors") or {}
    titles = (environment.get("facts") or {}).get("agent_titles") or {}
    for agent in environment.get("agents") or list(means):
        table.add_row(str(titles.get(agent, agent)), number(means.get(agent), 3), number(errors.get(agent), 3))
    return table


def _return_figures(standing: Standing) -> tuple[tuple[str, str], ...]:
    row, evaluation = standing.round, standing.evaluation
    cpu = number(row.get("learner_cpu_seconds"), 1)
    return (
        ("mean return", f"{mean_return(evaluation)} over agents and episodes"),
        ("steps", f"{number(row.get('environment_steps'), 0)} joint actions learned from"),
        ("updates", f"{number(row.get('updates'), 0)} in {cpu} s of the trainer's processor time"),
        ("too old", f"{number(row.get('stale'), 0)} joint actions dropped"),
        *((("greedy joint action", str(standing.end["verdict"])),) if "verdict" in standing.end else ()),
    )


def _equilibrium_figures(standing: Standing) -> tuple[tuple[str, str], ...]:
    check = standing.check
    money = f"{number(check.get('nash_conv'), 4)}; estimated {number(check.get('nash_conv_estimated'), 4)}"
    return (
        ("NashConv, verified", f"{percent(check.get('relative'))} of total profit ({money})"),
        ("NashConv, by the critics", f"{percent(check.get('relative_estimated'))} of total profit"),
        ("ANI", number(check.get("ani"), 5)),
        ("evaluations", f"{number(standing.round.get('environment_steps'), 0)} joint actions learned from"),
    )


def _grid(figures: Sequence[tuple[str, str]], standing: Standing, seconds: float, restarts: Mapping[str, int]) -> Table:
    reason = str(standing.end.get("reason", ""))
    counts = ", ".join(f"{name} {count}" for name, count in restarts.items() if count) or "none"
    table = Table.grid(padding=(0, 2))
    table.add_row("ended", _REASONS.get(reason, reason or DASH))
    failed = (("failed episodes", failed_episodes(standing)),) if failed_episodes(standing) else ()
    for row in (*figures, *failed, ("wall time", f"{number(seconds, 1)} s"), ("restarts", counts)):
        table.add_row(*row)
    return table


def _mean(values: Sequence[Any] | None) -> float | None:
    known = [float(v) for v in values or () if isinstance(v, int | float)]
    return fmean(known) if known else None
