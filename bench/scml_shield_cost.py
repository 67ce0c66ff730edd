"""What the shield costs: the same policies on the same worlds, with and without it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.scml_runs import audit, league

TITLE = "the shield costs no score, and there is less shortfall"
POLICIES = ("penguin", "as0", "penguin+123")
LOWEST = -0.005
LESS = 0.4
MODES = ("certain", "covered")
SEEDS = "200:250"
"""None of them was looked at while the shield was written. 20 seeds, as the target has it, cannot tell -0.005 from 0:
their intervals are 0.01 wide to either side."""


def run(quick: bool) -> list[Row]:
    """Pair every policy with itself behind the shield."""
    seeds, days = ("200:202", 15) if quick else (SEEDS, 50)
    variants = [name for policy in POLICIES for name in (policy, *(f"{policy}:{mode}" for mode in MODES))]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for policy in POLICIES:
            flags = ["--track", "--baseline", policy, *([] if policy == POLICIES[0] else ["--resume"])]
            found = league(folder, "cost", variants, *flags, seeds=seeds, days=days)
            scores = {row["variant"]: row for row in found["rows"]}
            for mode in MODES:
                rows += _score(policy, mode, scores, judged=mode == "certain" and not quick)
        tallies = audit(folder / "cost")["by_name"]
    for policy in POLICIES:
        for mode in MODES:
            rows += _shortfall(policy, mode, scores, tallies, judged=mode == "certain" and not quick)
    return rows


def _score(policy: str, mode: str, found: dict[str, dict[str, Any]], judged: bool) -> list[Row]:
    safe = found[f"{policy}:{mode}"]
    name, low = f"{policy}:{mode} − {policy}: score", safe["diff_low"]
    target = f"> {LOWEST}" if judged else "reported"
    return [
        Row(f"{name}, mean of {safe['pairs']} pairs", [safe["diff"]], "", "reported", True),
        Row(f"{name}, lower end of 95 %", [low], "", target, not judged or low > LOWEST),
    ]


def _shortfall(
    policy: str, mode: str, found: dict[str, dict[str, Any]], tallies: dict[str, dict[str, Any]], judged: bool
) -> list[Row]:
    """In all; of what was owed to other factories, which is what a shield can keep from happening; and by level."""
    bare, safe = found[policy], found[f"{policy}:{mode}"]
    own, kept = tallies[policy], tallies[f"{policy}:{mode}"]
    name, less = f"{policy}:{mode}: shortfall avoided", _less(bare["shortfall"], safe["shortfall"])
    target = f">= {LESS}" if judged else "reported"
    rows = [
        Row(f"{name}, of {bare['shortfall']:.1f} units a factory", [less], "", target, not judged or less >= LESS),
        Row(f"{name}, of what other factories were owed", [_less(own["own"], kept["own"])], "", "reported", True),
        Row(f"{name}, of what nature does not force", [_less(_free(own), _free(kept))], "", "reported", True),
    ]
    for level in bare["levels"]:
        before, after = bare["levels"][level]["shortfall"], safe["levels"][level]["shortfall"]
        rows.append(Row(f"{name}, {level} level, of {before:.1f} units", [_less(before, after)], "", "reported", True))
    return rows


def _free(tally: dict[str, Any]) -> float:
    return float(tally["shortfall"] - tally["forced"])


def _less(before: float, after: float) -> float:
    return 1 - after / before if before else 0.0
