"""Stored results as Markdown tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

from experiments import trading
from experiments.references import AT_LEAST, BEST_AT_LEAST, score
from experiments.stored import Evaluation, Matches, Played, Training

CURVE_STEPS: Final = (100_000, 200_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 10_000_000)
NEAR: Final = 0.05
"""An evaluation counts as one at a number of steps if it is this share of them away, or less."""
_FIGURES: Final = ("steps", "mean return", "of each seed", "S", "CPU time of a run")
_GAMES: Final = ("game", "learner", "seed", "steps", "returns", "mean, before → after", "CPU time")


def learners(runs: Sequence[Training]) -> str:
    """One line a learner, with its seeds and the published mean."""
    rows = [[f"`{name}`", *_figures(own), f"{AT_LEAST[name]:.1f}"] for name, own in _by_name(runs)]
    return table(["learner", *_FIGURES, "published at 3 M"], rows)


def best(runs: Sequence[Training]) -> str:
    """One line a budget of steps, with its aim and the best published mean."""
    kept = dict(_by_name(runs))
    rows = []
    for budget, (name, aim, published) in BEST_AT_LEAST.items():
        if name in kept:
            rows.append([budget, f"`{name}`", *_figures(kept[name]), f"{aim:.1f}", f"{published:.1f}"])
    return table(["within", "experiment", *_FIGURES, "aim", "published"], rows)


def curves(runs: Sequence[Training]) -> str:
    """Mean returns in the course of training, over seeds."""
    rows = {name: [_at(own, steps) for steps in CURVE_STEPS] for name, own in _by_name(runs)}
    shown = [i for i in range(len(CURVE_STEPS)) if any(row[i] for row in rows.values())]
    heads = ["learner", *(_steps(CURVE_STEPS[i]) for i in shown)]
    return table(heads, [[f"`{name}`", *(row[i] for i in shown)] for name, row in rows.items()])


def games(runs: Sequence[Training]) -> str:
    """One line a run, with every agent's return."""
    rows = []
    for run in runs:
        final, errors = run.final, run.final.standard_errors
        earned = ", ".join(f"{agent} {value:.2f} ± {errors[agent]:.2f}" for agent, value in final.returns.items())
        change = f"{run.evaluations[0].mean:.2f} → {final.mean:.2f}"
        first = [f"`{run.name}`", run.algorithm, str(run.seed), _steps(run.environment_steps)]
        rows.append([*first, earned, change, _duration([run])])
    return table(_GAMES, rows)


def matrix(matches: Matches) -> str:
    """Good teams by adversaries: what the adversary earns, and what each good agent does."""
    played = [match for match in matches.matches if "adversary_0" in match.players]
    found = {(match.players["agent_0"], match.players["adversary_0"]): match for match in played}
    teams, adversaries = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 1))
    rows = [[f"**{_short(team)}**", *(_cell(found[team, adversary]) for adversary in adversaries)] for team in teams]
    worst = max(error for match in played for error in match.standard_errors.values())
    drawn = table(["good ↓ adversary →", *map(_short, adversaries)], rows)
    return f"{drawn}\nStandard errors are at most {worst:.2f}.\n"


def spreaders(matches: Matches) -> str:
    """What teams of simple_spread earn."""
    played = [match for match in matches.matches if "adversary_0" not in match.players]
    rows = [[_short(match.players["agent_0"]), f"{match.mean:.2f} ± {match.standard_error:.2f}"] for match in played]
    return table(["simple_spread, all three agents", "mean return"], rows)


def limit(runs: Sequence[Training]) -> str:
    """One line a run, with its share of the best return."""
    rows = [
        [
            str(run.seed),
            run.algorithm,
            _steps(run.environment_steps),
            _earned(run.final),
            f"{100 * trading.share_of_best(run.final):.1f} %",
            _duration([run]),
        ]
        for run in runs
        if run.name == trading.LIMIT
    ]
    return table(["seed", "learner", "steps", "return", "of the best possible", "CPU time"], rows)


def makers(runs: Sequence[Training], scripted: Matches) -> str:
    """One line a learner, with what it earns more than the scripted maker."""
    rows, profit = [], trading.scripted_profit(scripted)
    for name, own in _by_name([run for run in runs if run.name in trading.LEARNED]):
        more = [run.final.mean - profit for run in own]
        each = ", ".join(_earned(run.final) for run in own)
        middle = statistics.fmean(more)
        interval = f"{middle:.1f} ± {middle - trading.lower_end(more):.1f}" if len(more) > 1 else f"{middle:.1f}"
        rows.append([f"`{name}`", _steps(own[0].environment_steps), each, f"**{interval}**", _duration(own)])
    return table(["experiment", "steps", "profit of each seed", "above the scripted maker", "CPU time of a run"], rows)


def scripted_makers(matches: Matches) -> str:
    """One line a policy."""
    return table(["maker", "profit"], [[f"`{m.players[trading.SEAT]}`", _earned(m)] for m in matches.matches])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _earned(played: Played) -> str:
    return f"{played.mean:.2f} ± {played.standard_error:.2f}"


def _by_name(runs: Sequence[Training]) -> list[tuple[str, list[Training]]]:
    names = dict.fromkeys(run.name for run in runs)
    return [(name, [run for run in runs if run.name == name]) for name in names]


def _figures(runs: Sequence[Training]) -> list[str]:
    mean = statistics.fmean(run.final.mean for run in runs)
    each = ", ".join(f"{run.final.mean:.2f} ± {run.final.standard_error:.2f}" for run in runs)
    return [_steps(runs[0].environment_steps), f"**{mean:.2f}**", each, f"{score(mean):.3f}", _duration(runs)]


def _duration(runs: Sequence[Training]) -> str:
    """Mean processor time of those that ran in one go."""
    known = [run.cpu_seconds for run in runs if run.cpu_seconds is not None]
    return f"{statistics.fmean(known) / 60:.1f} min" if known else ""


def _cell(match: Played) -> str:
    good = statistics.fmean(value for agent, value in match.returns.items() if agent != "adversary_0")
    return f"{match.returns['adversary_0']:.2f} / {good:.2f}"


def _short(policy: str) -> str:
    return policy.removeprefix("scripted:").removeprefix("particle_")


def _at(runs: Sequence[Training], steps: int) -> str:
    """Mean over runs of the evaluation at so many steps; empty where one has none there."""
    found = [near for run in runs if (near := _nearest(run.evaluations, steps))]
    return f"{statistics.fmean(point.mean for point in found):.2f}" if len(found) == len(runs) else ""


def _nearest(evaluations: Sequence[Evaluation], steps: int) -> Evaluation | None:
    near = min(evaluations, key=lambda point: abs(point.environment_steps - steps))
    return near if abs(near.environment_steps - steps) <= NEAR * steps else None


def _steps(count: int) -> str:
    return f"{count / 1e6:.3g} M" if count >= 1_000_000 else f"{count / 1e3:.3g} k"
