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
DECISIONS = 100_000
"""An agent's answer to one call of the engine is one decision, of however many acts."""
MODES = {"certain": "400:510", "covered": "400:420"}
"""How the shield is set, and the seeds that it is tried on so; the first must reach ``DECISIONS``."""


def run(quick: bool) -> list[Row]:
    """Play each policy behind the shield in both modes, and for comparison without; audit all."""
    some, days = ("400:402", 15) if quick else ("400:420", 50)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for mode, seeds in MODES.items():
            names = [f"{policy}:{mode}" for policy in POLICIES]
            league(folder, mode, names, "--track", seeds=some if quick else seeds, days=days)
        league(folder, "bare", POLICIES, "--track", seeds=some, days=days)
        safe, bare = {mode: audit(folder / mode) for mode in MODES}, audit(folder / "bare")
    rows = []
    for mode, audited in safe.items():
        shielded = [audited["by_name"][f"{policy}:{mode}"] for policy in POLICIES]
        rows.append(_audited(mode, sum(tally["decisions"] for tally in shielded), quick))
        acts = sum(tally["acts"] for tally in shielded)
        rows.append(Row(f"acts audited behind the shield, {mode}", [acts], "", "reported", True))
        for policy, tally in zip(POLICIES, shielded, strict=True):
            title = f"{policy}:{mode}"
            rows.append(_none(f"{title}: U1 + U3 + U4 in {tally['acts']} acts", tally, KINDS))
            rows.append(_none(f"{title}: J1 + J3 + J4 in {tally['decisions']} decisions", tally, TOGETHER))
    for policy in POLICIES:
        tally = bare["by_name"][policy]
        rate = 100 * tally["unsafe_acts"] / tally["acts"]
        rows.append(Row(f"{policy} without the shield: unsafe acts", [rate], "%", "reported", True))
    wrong = sum(len(audited["disagreements"]) for audited in (*safe.values(), bare))
    rows.append(Row("days on which auditor and engine disagree on the settlement", [wrong], "", "= 0", wrong == 0))
    return rows


def _audited(mode: str, decisions: int, quick: bool) -> Row:
    reported = quick or mode != next(iter(MODES))
    target = "reported" if reported else f">= {DECISIONS}"
    name = f"decisions audited behind the shield, {mode}"
    return Row(name, [decisions], "", target, reported or decisions >= DECISIONS)


def _none(name: str, tally: dict[str, Any], kinds: tuple[str, ...]) -> Row:
    count = sum(tally["kinds"][kind] for kind in kinds)
    return Row(name, [count], "", "= 0", count == 0)
