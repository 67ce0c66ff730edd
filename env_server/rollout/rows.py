"""The rows of the trajectory log: one per (block, step, copy)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from env_server.rollout.trajectory import Trajectory

KEYS = ["run", "block", "step", "copy"]


def rows_of(trajectory: Trajectory, run: str, agents: tuple[str, ...], noise_scale: float) -> pa.Table:
    """Columns of one block, rows in order of step, then copy.

    Args:
        trajectory: what was played; T steps of B copies are T * B rows.
        run: its name, a column.
        agents: ids, for the names of columns.
        noise_scale: the collection's exploration, a column.
    """
    steps, copies = trajectory.steps, trajectory.copies
    rows = steps * len(copies)
    columns: dict[str, Any] = {
        "run": pa.array([run] * rows).dictionary_encode(),
        "block": np.full(rows, trajectory.block, np.uint64),
        "step": np.repeat(np.arange(steps, dtype=np.uint32), len(copies)),
        "copy": np.tile(copies, steps),
        "noise_scale": np.full(rows, noise_scale, np.float32),
    }
    columns |= {_name("state", path): _column(v.array[:-1]) for path, v in trajectory.state.items()}
    columns |= {_name("info", path): _column(v.array) for path, v in trajectory.info.items()}
    for name, agent in zip(agents, trajectory.agents, strict=True):
        seen = agent.observation.items()
        columns |= {_name(f"{name}.observation", path): _column(v.array[:-1]) for path, v in seen}
        columns |= {_name(f"{name}.action_mask", path): _column(v.array) for path, v in agent.action_mask.items()}
        columns |= {_name(f"{name}.action", path): _column(v.array) for path, v in agent.action.items()}
        for key in ("log_prob", "reward", "terminated", "truncated", "acted"):
            columns[f"{name}.{key}"] = _column(getattr(agent, key))
        columns[f"{name}.policy_id"] = pa.array([agent.policy_id] * rows).dictionary_encode()
        columns[f"{name}.policy_epoch"] = agent.version[..., 0].ravel()
        columns[f"{name}.policy_step"] = agent.version[..., 1].ravel()
    return pa.table(columns)


def _name(prefix: str, path: str) -> str:
    return f"{prefix}.{path}" if path else prefix


def _column(values: NDArray[Any]) -> pa.Array:
    """(T, B, ...) as one row per (t, b): a number, or a list of all further axes in row-major order."""
    width = int(np.prod(values.shape[2:]))
    flat = pa.array(np.ascontiguousarray(values).ravel())
    return flat if values.ndim == 2 else pa.FixedSizeListArray.from_arrays(flat, width)
