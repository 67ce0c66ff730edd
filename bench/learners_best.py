"""Whether the best learner beats what others published, by budget; see ``bench.stored_runs``.

Within 10 million steps the learner may stop earlier. When was chosen on other seeds than the measured ones, whose
learning curves are kept: the step at which their mean is highest must be the experiment's.
"""

from __future__ import annotations

from typing import Final

from bench.report import Row
from bench.stored_runs import hold
from experiments.references import BEST_AT_LEAST
from experiments.running import load_experiment
from experiments.stored import Tuning, fingerprint, read_group, read_tuning

TITLE = (
    "the best learner on simple_spread at 1, 3 and 10 million steps: stored runs, 2,000 episodes of mpe2 played anew"
)
ALSO = ("experiments/best/*.yaml", "experiments/results/best/*.json", "experiments/results/best/tuning/*.json")
WITHOUT = ("charging", "market", "matrix", "scml")
GROUP, STOPPED = "best", "matd3_10m"
EVERY: Final = "training.evaluate_every"


def run(quick: bool) -> list[Row]:
    """One row a budget; ``python -m experiments best`` makes what is measured."""
    tuning = read_tuning(GROUP, STOPPED)
    bars = [(_title(budget, name, tuning), name, aim) for budget, (name, aim, _) in BEST_AT_LEAST.items()]
    return [*hold(GROUP, bars, quick), *stopping(tuning)]


def stopping(tuning: Tuning | None) -> list[Row]:
    """Whether the experiment stops where runs on other seeds were best, and these were of its settings."""
    if tuning is None:
        return [Row.missing(f"{STOPPED}: stops at", "where runs on other seeds were best", "none are kept")]
    chosen, mean = tuning.chosen
    # An evaluation comes after the first round that reaches a multiple, as a run's end does.
    budget = chosen // tuning.changes[EVERY] * tuning.changes[EVERY]
    stops = load_experiment(GROUP, STOPPED, 0).training.max_environment_steps
    target = f"{budget:,}, where the mean of seeds {_seeds(tuning)} is highest: {mean:.2f}"
    both = {run.seed for run in read_group(GROUP) if run.name == STOPPED} & {curve.seed for curve in tuning.curves}
    others = [seed for seed, was in tuning.configurations.items() if was != _configuration(seed, tuning)]
    return [
        Row(f"{STOPPED}: stops at", [float(stops)], "steps", target, stops == budget),
        Row(f"{STOPPED}: measured seeds that this was chosen on", [float(len(both))], "", "0", not both),
        Row(f"{STOPPED}: chosen on runs of other settings", [float(len(others))], "", "0", not others),
    ]


def _title(budget: str, name: str, tuning: Tuning | None) -> str:
    title = f"within {budget} steps: {name}"
    if name != STOPPED or tuning is None:
        return title
    return f"{title}, stopping at {tuning.chosen[0] / 1e6:.2f} M, which was chosen on seeds {_seeds(tuning)}"


def _seeds(tuning: Tuning) -> str:
    return ", ".join(str(curve.seed) for curve in tuning.curves)


def _configuration(seed: int, tuning: Tuning) -> str:
    return fingerprint(load_experiment(GROUP, STOPPED, seed, tuning.changes))
