"""What the shield costs: the same policies on the same worlds, with and without it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import Row
from bench.scml_runs import league

TITLE = "the shield costs no score, and there is less shortfall"
POLICIES = ("penguin", "as0", "penguin+123")
LOWEST = -0.005
LESS = 0.4
MODES = ("certain", "covered")


def run(quick: bool) -> list[Row]:
    """Pair every policy with itself behind the shield."""
    seeds, days = ("100:102", 15) if quick else ("100:120", 50)
    variants = [name for policy in POLICIES for name in (policy, *(f"{policy}:{mode}" for mode in MODES))]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for policy in POLICIES:
            flags = ["--baseline", policy, *([] if policy == POLICIES[0] else ["--resume"])]
            found = {
                row["variant"]: row
                for row in league(Path(folder), "cost", variants, *flags, seeds=seeds, days=days)["rows"]
            }
            for mode in MODES:
                rows += _pair(policy, mode, found, judged=mode == "certain")
    return rows


def _pair(policy: str, mode: str, found: dict[str, dict[str, float]], judged: bool) -> list[Row]:
    bare, safe = found[policy], found[f"{policy}:{mode}"]
    name = f"{policy}:{mode} − {policy}"
    low, less = safe["diff_low"], 1 - safe["shortfall"] / bare["shortfall"]
    return [
        Row(f"{name}: score, mean of {int(safe['pairs'])} pairs", [safe["diff"]], "", "reported", True),
        Row(
            f"{name}: score, lower end of 95 %",
            [low],
            "",
            f"> {LOWEST}" if judged else "reported",
            not judged or low > LOWEST,
        ),
        Row(
            f"{name}: shortfall, share avoided",
            [less],
            "",
            f">= {LESS}" if judged else "reported",
            not judged or less >= LESS,
        ),
    ]
