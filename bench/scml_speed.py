"""Worlds per hour: the engine's own way, ours, and with factories played by agent services."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence

from bench.report import Row
from bench.scml_remote import SERVICE, Remote
from bench.scml_runs import finish, measure

TITLE = "worlds per hour: at least 4x the engine's own way, and what agent services leave of it"
WITHOUT = ("charging", "market", "matrix", "mpe")
FINALISTS = ("penguin", "as0", "cautious", "pricetrend", "ponpon", "takalink")
FACTORIES = 8
CORES = 2
GOAL = 10_000


def run(quick: bool) -> list[Row]:
    """Time all ways."""
    repeats, worlds = (1, 4) if quick else (5, 32)
    days = 10 if quick else 50
    rows = _own_way("2x4 Penguin", ("penguin",), (4, 4), days, repeats, judged=not quick)
    rows += _own_way("2x6 finalists", FINALISTS, (6, 6), days, min(repeats, 2), judged=False)
    played = [_in_process(range(i * worlds, (i + 1) * worlds), ["penguin"], days) for i in range(repeats)]
    holds = quick or statistics.median(played) >= GOAL
    rows.append(Row("2x4 Penguin, worlds per hour on 2 cores", played, "1/h", f">= {GOAL}", holds))
    return rows + _services(worlds, days, repeats, judged=not quick)


def _own_way(
    name: str, policies: Sequence[str], shape: tuple[int, ...], days: int, repeats: int, judged: bool
) -> list[Row]:
    """Pairs of the same world, once each way, one at a time."""
    ratios, differences = [], []
    for seed in range(repeats):
        default, fast = (finish(measure([seed], policies, shape, days, way))[0] for way in ("default", "fast"))
        ratios.append(default["seconds"] / fast["seconds"])
        differences.append(max(abs(a - b) for a, b in zip(default["scores"], fast["scores"], strict=True)))
    same = max(differences) < 1e-9
    return [
        Row(
            f"{name}: engine's own seconds / ours",
            ratios,
            "",
            ">= 4" if judged else "reported",
            not judged or statistics.median(ratios) >= 4,
        ),
        Row(f"{name}: largest difference of a score", differences, "", "= 0", same),
    ]


def _in_process(seeds: Sequence[int], policies: Sequence[str], days: int) -> float:
    """Worlds per hour of as many processes as cores, each with its share of the worlds, without their start."""
    shares = [seeds[i::CORES] for i in range(CORES)]
    processes = [measure(share, policies, (4, 4), days, "fast", "seat") for share in shares]
    rates = [len(rows) / float(sum(row["seconds"] for row in rows)) for rows in map(finish, processes)]
    return 3600.0 * sum(rates)


def _services(worlds: int, days: int, repeats: int, judged: bool) -> list[Row]:
    """The same worlds with the haggler in the engine's process, and in agent services."""
    rows, missed = [], 0
    for name, served, target in (("one factory", 1, 0.9), ("all factories", FACTORIES, 0.75)):
        policies = [SERVICE] * served + ["penguin"] * (FACTORIES - served)
        ratios = []
        with Remote([policies[:4], policies[4:]], worlds, days=days, workers=CORES) as remote:
            remote.play(0)  # starts the engine's processes and opens the streams
            for block in range(1, repeats + 1):
                inside = _in_process(remote.seeds(block), policies, days)
                began = time.perf_counter()
                missed += remote.play(block).substituted_actions
                ratios.append(3600 * worlds / (time.perf_counter() - began) / inside)
        holds = not judged or statistics.median(ratios) >= target
        rows.append(
            Row(f"{name} as services: speed / in process", ratios, "", f">= {target}" if judged else "reported", holds)
        )
    return [*rows, Row("deadlines missed", [missed], "", "= 0", missed == 0)]
