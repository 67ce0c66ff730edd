"""The trajectory log of one collection: blocks are written by a thread beside the step loop, then handed on."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prometheus_client import Counter

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.parts import locked, put
from env_server.rollout.rows import rows_of
from env_server.rollout.trajectory import Trajectory

ROWS_PER_PART = 65_536
BYTES_PER_PART = 64 * 1024 * 1024
"""Blocks wait in memory until they are on disk: of these sizes, whichever is reached first,"""
SECONDS_PER_PART = 5.0
"""or for so long, so that a collection of slow blocks is handed on while it goes on."""
RUN_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
ROWS = Counter("agora_logged_rows_total", "Rows written to the trajectory log.")


class TrajectoryLog:
    """The log of one collection: blocks are gathered with ``add`` and written together with ``flush``."""

    def __init__(
        self,
        directory: Path,
        run: str,
        agents: tuple[str, ...],
        noise_scale: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a log.

        Args:
            directory: where the parts go; made if missing.
            run: name of the run, part of every row and file name.
            agents: the agents' ids, for column names.
            noise_scale: the collection's exploration, a column.
            now: a clock, in seconds.

        Raises:
            Refused: the run's name is not a plain file name.
        """
        if not RUN_NAME.fullmatch(run):
            raise Refused(policy_pb2.REASON_CONFIG, "run", "letters, digits, '.', '_' and '-'", repr(run))
        self._directory = directory
        self._run = run
        self._agents = agents
        self._noise_scale = noise_scale
        self._now = now
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="trajectory-log")
        self._pending: list[Trajectory] = []
        self._rows = self._bytes = 0
        self._since = now()

    def add(self, trajectory: Trajectory) -> None:
        """Take one block, which is written with the next ``flush``."""
        if not self._pending:
            self._rows, self._bytes, self._since = 0, 0, self._now()
        self._pending.append(trajectory)
        self._rows += trajectory.steps * len(trajectory.copies)
        self._bytes += trajectory.nbytes

    @property
    def due(self) -> bool:
        """Whether what was added should be written now."""
        if not self._pending:
            return False
        full = self._rows >= ROWS_PER_PART or self._bytes >= BYTES_PER_PART
        return full or self._now() - self._since >= SECONDS_PER_PART

    def flush(self) -> asyncio.Future[list[Trajectory]]:
        """Write what was added, beside the event loop; the result is those blocks, when they are on disk.

        The future raises what ``put`` does.
        """
        blocks, self._pending = self._pending, []
        return asyncio.get_running_loop().run_in_executor(self._writer, self._write, blocks)

    def close(self) -> None:
        """Forget what was not written, and wait for a write that is under way."""
        self._pending = []
        self._writer.shutdown()

    def _write(self, blocks: list[Trajectory]) -> list[Trajectory]:
        if not blocks:
            return blocks
        tables = {block.block: rows_of(block, self._run, self._agents, self._noise_scale) for block in blocks}
        rows = sum(table.num_rows for table in tables.values())
        self._directory.mkdir(parents=True, exist_ok=True)
        with locked(self._directory):
            put(self._directory, self._run, tables)
        ROWS.inc(rows)
        return blocks


async def logged(played: AsyncGenerator[Trajectory], to: TrajectoryLog) -> AsyncGenerator[Trajectory]:
    """The same blocks, each handed on when it is on disk, while the next ones are played.

    What was played before a failure is handed on before the failure is raised.

    Raises:
        Refused, OSError: see ``put``.
    """
    writing: asyncio.Future[list[Trajectory]] | None = None
    failure: Exception | None = None
    over = False
    while not over:
        try:
            to.add(await anext(played))
        except StopAsyncIteration:
            over = True
        except Exception as error:
            over, failure = True, error
        if writing is not None and (over or to.due or writing.done()):
            for block in await writing:
                yield block
            writing = None
        if writing is None and (over or to.due):
            writing = to.flush()
    for block in await writing if writing is not None else ():
        yield block
    if failure is not None:
        raise failure
