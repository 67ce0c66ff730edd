"""The trajectory log: Parquet, one row per (block, step, copy), written by a thread beside the step loop.

A part holds whole blocks, is named after the first and the last of them, and appears under its name only when it is
complete and on disk. Playing a block again therefore replaces its rows and never doubles them.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from prometheus_client import Counter

from agora.errors import Refused
from agora.v1 import policy_pb2
from agora.writing import writing
from env_server.rollout.trajectory import Trajectory

ROWS_PER_PART = 65_536
KEYS = ["run", "block", "step", "copy"]
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
ROWS = Counter("agora_logged_rows_total", "Rows written to the trajectory log.")


class TrajectoryLog:
    """The log of one collection. ``add`` returns at once; ``close`` waits until everything is on disk."""

    def __init__(self, directory: Path, run: str, agents: tuple[str, ...], noise_scale: float) -> None:
        """Open a log.

        Args:
            directory: where the parts go; made if missing.
            run: name of the run, part of every row and file name.
            agents: the agents' ids, for column names.
            noise_scale: the collection's exploration, a column.

        Raises:
            Refused: the run's name is not a plain file name.
        """
        if not RUN_NAME.fullmatch(run):
            raise Refused(policy_pb2.REASON_CONFIG, "run", "letters, digits, '.', '_' and '-'", repr(run))
        self._directory = directory
        self._run = run
        self._agents = agents
        self._noise_scale = noise_scale
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trajectory-log")
        self._pending: list[Trajectory] = []
        self._writes: list[Future[None]] = []

    def add(self, trajectory: Trajectory) -> None:
        """Queue one block."""
        self._pending.append(trajectory)
        if sum(t.steps * len(t.copies) for t in self._pending) >= ROWS_PER_PART:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            self._writes.append(self._writer.submit(self._write, self._pending))
            self._pending = []

    def close(self) -> None:
        """Wait until all blocks are on disk.

        Raises:
            OSError: the disk refused.
        """
        self._flush()
        self._writer.shutdown()
        for write in self._writes:
            write.result()

    def _write(self, trajectories: list[Trajectory]) -> None:
        table = pa.concat_tables([self._table(trajectory) for trajectory in trajectories])
        first, last = trajectories[0].block, trajectories[-1].block
        path = self._directory / f"{self._run}-{first:09d}-{last:09d}.parquet"
        self._directory.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with writing(draft), draft.open("wb") as file:
            # Numbers that were measured do not repeat, nobody filters by them, and the game goes on beside the writing:
            # no dictionaries, no bounds, and the cheaper compression.
            names = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
            pq.write_table(table, file, compression="lz4", use_dictionary=names, write_statistics=KEYS)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        ROWS.inc(table.num_rows)

    def _table(self, trajectory: Trajectory) -> pa.Table:
        """Columns of one block, rows in order of step, then copy."""
        steps, copies = trajectory.steps, trajectory.copies
        rows = steps * len(copies)
        columns: dict[str, Any] = {
            "run": pa.array([self._run] * rows).dictionary_encode(),
            "block": np.full(rows, trajectory.block, np.uint64),
            "step": np.repeat(np.arange(steps, dtype=np.uint32), len(copies)),
            "copy": np.tile(copies, steps),
            "noise_scale": np.full(rows, self._noise_scale, np.float32),
        }
        columns |= {_name("state", path): _column(v.array[:-1]) for path, v in trajectory.state.items()}
        columns |= {_name("info", path): _column(v.array) for path, v in trajectory.info.items()}
        for name, agent in zip(self._agents, trajectory.agents, strict=True):
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
