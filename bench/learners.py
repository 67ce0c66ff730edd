"""Whether every learner reaches what others published for it; see ``bench.stored_runs``."""

from __future__ import annotations

from bench.report import Row
from bench.stored_runs import hold
from experiments.references import AT_LEAST

TITLE = "every learner on simple_spread, against published means: stored runs, 2,000 episodes of mpe2 played anew"
ALSO = ("experiments/learners/*.yaml", "experiments/results/learners/*.json")
WITHOUT = ("charging", "market", "matrix", "scml")


def run(quick: bool) -> list[Row]:
    """One row a learner; ``python -m experiments learners`` makes what is measured."""
    return hold("learners", [(name, name, bar) for name, bar in AT_LEAST.items()], quick)
