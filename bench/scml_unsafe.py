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
    """Play each policy behind the shield, and for comparison without; audit both."""
    seeds, some, days = ("400:402", "400:402", 15) if quick else ("400:460", "400:420", 50)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        league(folder, "shielded", [f"{policy}:certain" for policy in POLICIES], "--track", seeds=seeds, days=days)
        league(folder, "bare", POLICIES, "--track", seeds=some, days=days)
        safe, bare = audit(folder / "shielded"), audit(folder / "bare")
    shielded = [safe["by_name"][f"{policy}:certain"] for policy in POLICIES]
    acts = sum(tally["acts"] for tally in shielded)
    rows = [
        Row("acts audited behind the shield", [acts], "", "reported" if quick else f">= {ACTS}", quick or acts >= ACTS)
    ]
    for policy, tally in zip(POLICIES, shielded, strict=True):
        rows.append(_none(f"{policy}, shielded: U1 + U3 + U4 in {tally['acts']} acts", tally, KINDS))
        rows.append(_none(f"{policy}, shielded: J1 + J3 + J4 in {tally['decisions']} decisions", tally, TOGETHER))
    for policy in POLICIES:
        tally = bare["by_name"][policy]
        rate = 100 * tally["unsafe_acts"] / tally["acts"]
        rows.append(Row(f"{policy} without the shield: unsafe acts", [rate], "%", "reported", True))
    wrong = len(safe["disagreements"]) + len(bare["disagreements"])
    rows.append(Row("days on which auditor and engine disagree on the settlement", [wrong], "", "= 0", wrong == 0))
    return rows


def _none(name: str, tally: dict[str, Any], kinds: tuple[str, ...]) -> Row:
    count = sum(tally["kinds"][kind] for kind in kinds)
    return Row(name, [count], "", "= 0", count == 0)
