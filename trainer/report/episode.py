"""One episode of a game that is played in a plane, out of the trajectory log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEARCHED_PARTS: Final = 3
"""How many of the newest parts of the log are searched for an episode without noise."""
MOST_STEPS: Final = 400


@dataclass(frozen=True)
class Episode:
    """What one copy showed.

    Attributes:
        positions: (T, entities, 2), after each step.
        goal: number of the entity that is the goal, or None.
        earned: undiscounted return of each agent.
        block, copy: where it stands in the log.
        greedy: whether nobody explored.
    """

    positions: Floats
    goal: int | None
    earned: Sequence[float]
    block: int
    copy: int
    greedy: bool


def newest_episode(directory: Path, arena: Mapping[str, Any], entities: int, agents: Sequence[str]) -> Episode | None:
    """The last logged block's first copy, of blocks that nobody explored in if there are any lately.

    Args:
        directory: the folder of Parquet parts; may be missing, and parts may be torn.
        arena: names of the info arrays "positions" (B, entities, 2) and, unless null, "goal" (B,).
        entities: how many.
        agents: ids.
    """
    explored: Episode | None = None
    for part in sorted(directory.glob("*.parquet"), reverse=True)[:SEARCHED_PARTS]:
        try:
            found = _last(part, arena, entities, agents)
        except (pa.ArrowException, OSError, KeyError, ValueError):  # torn, or of another game
            continue
        if found is not None and found.greedy:
            return found
        explored = explored or found
    return explored


def _last(part: Path, arena: Mapping[str, Any], entities: int, agents: Sequence[str]) -> Episode | None:
    keys = pq.read_table(part, columns=["block", "copy", *(f"{agent}.log_prob" for agent in agents)])
    if not keys.num_rows:
        return None
    blocks, copies = keys["block"].to_numpy(), keys["copy"].to_numpy()
    explored = np.any([keys[f"{agent}.log_prob"].to_numpy() != 0.0 for agent in agents], axis=0)  # greedy: 0
    greedy = np.setdiff1d(blocks, blocks[explored])
    block = int(greedy.max() if len(greedy) else blocks.max())
    copy = int(copies[blocks == block].min())
    return _read(part, arena, entities, agents, (block, copy), bool(len(greedy)))


def _read(
    part: Path, arena: Mapping[str, Any], entities: int, agents: Sequence[str], place: tuple[int, int], greedy: bool
) -> Episode:
    names = [f"info.{arena[key]}" for key in ("positions", "goal") if arena.get(key)]
    rewards = [f"{agent}.reward" for agent in agents]
    filters = [("block", "==", place[0]), ("copy", "==", place[1])]
    table = pq.read_table(part, columns=["step", *names, *rewards], filters=filters).sort_by("step")
    flat = table[names[0]].combine_chunks().flatten().to_numpy()
    return Episode(
        positions=flat.astype(np.float64).reshape(table.num_rows, entities, 2)[:MOST_STEPS],
        goal=int(table[names[1]][0].as_py()) if names[1:] else None,
        earned=[float(pc.sum(table[name]).as_py()) for name in rewards],
        block=place[0],
        copy=place[1],
        greedy=greedy,
    )
