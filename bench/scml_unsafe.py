"""Zero unsafe acts behind the shield, counted by an auditor that shares no code with it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.report import Row
from bench.scml_runs import audit, league

TITLE = "behind the shield no policy acts unsafely, says an auditor that shares no code with it"
POLICIES = ("penguin", "as0", "random", "untrained")
KINDS = ("U1", "U3", "U4")
TOGETHER = ("J1", "J3", "J4")
ACTS = 100_000


def run(quick: bool) -> list[Row]:
    """Play each policy with and without the shield, and audit both."""
    variants = [*POLICIES, *(f"{policy}:certain" for policy in POLICIES)]
    seeds, days = ("100:102", 15) if quick else ("100:120", 50)
    with tempfile.TemporaryDirectory() as folder:
        league(Path(folder), "unsafe", variants, "--track", seeds=seeds, days=days)
        found = audit(Path(folder) / "unsafe")
    tallies = found["by_name"]
    shielded = [tallies[f"{policy}:certain"] for policy in POLICIES]
    acts = sum(tally["acts"] for tally in shielded)
    rows = [
        Row("acts audited behind the shield", [acts], "", "reported" if quick else f">= {ACTS}", quick or acts >= ACTS)
    ]
    for policy, tally in zip(POLICIES, shielded, strict=True):
        rows.append(_none(f"{policy}, shielded: U1 + U3 + U4 in {tally['acts']} acts", tally, KINDS))
        rows.append(_none(f"{policy}, shielded: J1 + J3 + J4 in {tally['decisions']} decisions", tally, TOGETHER))
    for policy in POLICIES:
        rate = 100 * tallies[policy]["unsafe_acts"] / tallies[policy]["acts"]
        rows.append(Row(f"{policy} without the shield: unsafe acts", [rate], "%", "reported", True))
    wrong = len(found["disagreements"])
    rows.append(Row("days on which auditor and engine disagree on the settlement", [wrong], "", "= 0", wrong == 0))
    return rows


def _none(name: str, tally: dict[str, Any], kinds: tuple[str, ...]) -> Row:
    count = sum(tally["kinds"][kind] for kind in kinds)
    return Row(name, [count], "", "= 0", count == 0)
