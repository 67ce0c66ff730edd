"""Is the learners' maths right? Every loss beside a second way to work it out, and games with known answers.

Arrays and gradients are compared in double precision; games are learned from the real environment in this process.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.report import Row
from bench.units import policies, values
from bench.units.chains import CHAINS, Chain, followed
from bench.units.comparing import errors
from bench.units.games import MIXED_ONLY, PUZZLES, TEAM, Puzzle, admitted, solved
from bench.units.gradients import LIMIT, PROBLEMS, gradient_errors, relaxed_errors
from trainer.algorithms import ALGORITHMS
from trainer.pure import NOT_FOUND

TITLE = "losses, returns and gradients against independent arithmetic, and small games against their known answers"
JUDGED = range(200, 205)
"""Seeds of the learners' runs; settings were tried on 0 to 11 and on 100 to 129."""


def run(quick: bool) -> list[Row]:
    """Compare all arrays and gradients, and let every learner play all games with a few seeds."""
    torch.set_num_threads(1)
    seeds = JUDGED[: 1 if quick else None]
    rows = arrays(20 if quick else 200)
    for algorithm in sorted(ALGORITHMS):
        rows += [_puzzle(algorithm, puzzle, seeds) for puzzle in PUZZLES]
        rows += [_chain(algorithm, chain, seeds) for chain in CHAINS]
    return rows + [_mixed(algorithm, seeds) for algorithm in sorted(ALGORITHMS)]


def arrays(instances: int) -> list[Row]:
    """All comparisons of arrays and gradients, each on so many random instances."""
    rows = []
    for name, (case, limit) in {**values.CASES, **policies.CASES}.items():
        rows.append(_at_most(name, errors(case, instances), limit))
    for name, problem in PROBLEMS.items():
        rows.append(_at_most(f"gradient, {name}", gradient_errors(problem, min(instances, 20)), LIMIT))
    return [*rows, _at_most("gradient, Gumbel-softmax: choices", relaxed_errors(instances), LIMIT)]


def _at_most(name: str, found: list[float], limit: float) -> Row:
    return Row(name, found, "off", f"<= {limit:g}", max(found) <= limit)


def _puzzle(algorithm: str, puzzle: Puzzle, seeds: Sequence[int]) -> Row:
    right = puzzle.together if algorithm in TEAM else puzzle.selfish
    found = solved(algorithm, puzzle, seeds)
    return Row(f"{algorithm}: {puzzle.name}", found, "solved", f"{right} with every seed", min(found) == 1.0)


def _chain(algorithm: str, chain: Chain, seeds: Sequence[int]) -> Row:
    found = followed(algorithm, chain, seeds)
    target = f"spend (0), save (1): {chain.best(algorithm)} with every seed"
    return Row(f"{algorithm}: saving, discount {chain.discount:g}", found, "solved", target, min(found) == 1.0)


def _mixed(algorithm: str, seeds: Sequence[int]) -> Row:
    found = [said for game in MIXED_ONLY for said in admitted(algorithm, game, seeds)]
    return Row(f"{algorithm}: mixed-only games", found, "said so", f"always {NOT_FOUND!r}", min(found) == 1.0)
