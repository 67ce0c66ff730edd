# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the commands can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

POOL = "penguin,cautious,as0,ultra,pricetrend,litayr,greedy,syncrandom"


@dataclass(frozen=True)
class League:
    """Compare policies on the same worlds, seat by seat.

    Each seed gives one world: its levels, costs and contracts with nature, one focal place per level, and the policies
    of all other places, drawn from the pool. Every policy plays it in the focal places. A world that dies or hangs is
    played once more and then recorded as failed. Ctrl-C stops; --resume continues.

    Exit codes: 0 finished, 1 failed, or finished with failed worlds, 2 a flag is wrong, 128 + N stopped by signal N.
    """

    policies: str
    """What to compare: POLICY or POLICY:SHIELD with commas between them, such as penguin,as0,penguin:certain. A policy
    is a short name or the dotted path of an agent's class; a shield is none, certain or covered."""
    pool: str = POOL
    """Policies that the other places are drawn from."""
    seeds: str = "100:120"
    """FIRST:END, a world for each seed from FIRST to before END."""
    days: int = 50
    """Days of every world."""
    levels: str = "2,3"
    """Numbers of levels, which take turns from seed to seed."""
    per_level: int = 4
    """Factories on each level."""
    physics: Literal["engine", "conserving"] = "engine"
    """engine: material in store is never used up, as in the leagues; conserving: it is."""
    baseline: str | None = None
    """Which of the policies the others are compared with. Default: the first."""
    workers: int | None = None
    """Processes that play worlds. Default: one per processor."""
    world_seconds: float = 600.0
    """A world is killed after so long."""
    name: str = "league"
    """The run's name."""
    runs_dir: Path = Path("runs")
    """The folder in which runs lie."""
    resume: bool = False
    """Continue the run of that name; only baseline, workers, world_seconds and json may differ."""
    track: bool = False
    """Write down every decision and contract, for agora scml audit and agora scml analyze."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class Official:
    """Play the engine's own tournament, anac2024_std, among policies.

    Every configuration is played by all choices of competitors in all orders of seats, with logs off. The engine shows
    its progress; its table, sorted by truncated mean score, goes to RUN/official.json.

    Exit codes: 0 finished, 1 failed, 2 a flag is wrong, 128 + N stopped by signal N.
    """

    policies: str
    """At least two policies with commas between them; no shields, which the engine's own worlds have no room for."""
    configs: int = 5
    """How many configurations are drawn."""
    competitors_per_world: int = 2
    """How many policies meet in a world."""
    steps: int | None = None
    """Days of every world. Default: 50 to 200, drawn for each configuration."""
    parallelism: str = "parallel"
    """serial, parallel, or parallel:FRACTION of the processors."""
    seed: int = 0
    """Of what is drawn."""
    name: str = "official"
    """The run's name."""
    runs_dir: Path = Path("runs")
    """The folder in which runs lie."""
    json: bool = False
    """Print JSON instead of a table."""
