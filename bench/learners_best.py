"""Whether the best learner beats what others published, by budget; see ``bench.stored_runs``."""

from __future__ import annotations

from bench.report import Row
from bench.stored_runs import hold
from experiments.references import BEST_AT_LEAST

TITLE = (
    "the best learner on simple_spread at 1, 3 and 10 million steps: stored runs, 2,000 episodes of mpe2 played anew"
)
ALSO = ("experiments/best/*.yaml", "experiments/results/best/*.json")
WITHOUT = ("charging", "market", "matrix", "scml")


def run(quick: bool) -> list[Row]:
    """One row a budget; ``python -m experiments best`` makes what is measured."""
    bars = [(f"within {budget} steps: {name}", name, aim) for budget, (name, aim, _) in BEST_AT_LEAST.items()]
    return hold("best", bars, quick)
