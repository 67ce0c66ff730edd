# SPDX-License-Identifier: AGPL-3.0-or-later
"""Results of worlds as rows, one per focal factory, in a file for each world."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from scml_engine.league.plan import World
from scml_engine.league.pool import Outcome
from scml_engine.spec import WorldResult

SCHEMA = pa.schema(
    {
        "world": pa.string(),
        "variant": pa.string(),
        "policy": pa.string(),
        "shield": pa.string(),
        "seed": pa.int64(),
        "levels": pa.int32(),
        "level": pa.int32(),
        "position": pa.string(),
        "factory": pa.string(),
        "conditions": pa.string(),
        "score": pa.float64(),
        "level_score": pa.float64(),
        "balance": pa.float64(),
        "shortfall": pa.float64(),
        "free_units": pa.float64(),
        "bankrupt": pa.bool_(),
        "substituted": pa.int32(),
        "digest": pa.string(),
        "seconds": pa.float64(),
        "attempts": pa.int32(),
        "reason": pa.string(),
    }
)
"""Columns of ``results.parquet``.

``position`` is "first", "middle" or "last" level; ``conditions`` the hash of all that variants share; ``level_score``
the mean score of the factory's level in this world; ``substituted`` counts in the whole world; ``reason`` says why a
world failed, and is null for one that was played, while a failed one has null from ``score`` to ``seconds``.
"""


def rows(world: World, outcome: Outcome) -> pa.Table:
    """A world's rows, columns ``SCHEMA``."""
    found = [_row(world, level, outcome) for level in range(len(world.focal))]
    return pa.Table.from_pylist(found, SCHEMA)


def _row(world: World, level: int, outcome: Outcome) -> dict[str, Any]:
    shape, place = world.spec.shape, world.focal[level]
    row = {
        "world": world.name,
        "variant": world.variant.name,
        "policy": world.variant.policy,
        "shield": world.variant.shield,
        "seed": world.spec.seed,
        "levels": len(shape),
        "level": level,
        "position": position(level, len(shape)),
        "factory": f"{level}.{place}",
        "conditions": world.conditions,
        "attempts": outcome.attempts,
        "reason": outcome.error or None,
    }
    return row if outcome.error else {**row, **_played(outcome.value, sum(shape[:level]), shape[level], place)}


def _played(result: WorldResult, first: int, size: int, place: int) -> dict[str, Any]:
    i = first + place
    return {
        "score": result.scores[i],
        "level_score": float(np.mean(result.scores[first : first + size])),
        "balance": result.balances[i],
        "shortfall": result.shortfall[i],
        "free_units": result.free_units[i],
        "bankrupt": result.bankrupt[i],
        "substituted": result.substituted,
        "digest": result.digest,
        "seconds": result.seconds,
    }


def position(level: int, levels: int) -> str:
    """What a level is in its chain: "first", "middle" or "last"."""
    if level == 0:
        return "first"
    return "last" if level == levels - 1 else "middle"


def write(table: pa.Table, path: Path) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    pq.write_table(table, draft, compression="zstd")
    draft.replace(path)


def merge(parts: Path, worlds: Iterable[World]) -> pa.Table:
    """All parts in the order of the plan, whatever order the worlds ended in; those still missing are left out."""
    paths = [path for world in worlds if (path := parts / f"{world.name}.parquet").exists()]
    return pa.concat_tables([SCHEMA.empty_table(), *(pq.read_table(path, schema=SCHEMA) for path in paths)])
