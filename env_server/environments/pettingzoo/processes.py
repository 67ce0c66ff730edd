"""The processes that play the copies: Gymnasium's own, with shared memory, and an end that always comes."""

from __future__ import annotations

import contextlib
import functools
import threading
from multiprocessing import connection

from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from env_server.environments.base import Array
from env_server.environments.pettingzoo.chunk import Recipe, share

GRACE_SECONDS = 3.0
"""How long environments may take to be closed."""
Table = dict[str, Array]


class Processes(AsyncVectorEnv[Table, Table]):
    """One process a share. Its arrays are (shares, rows, ...) in memory that the processes write to again."""

    def __init__(self, recipe: Recipe, shares: int) -> None:
        """Start them.

        Raises:
            EOFError, OSError: one of them ended at once.
        """
        recipes = [functools.partial(share, recipe, number) for number in range(shares)]
        try:
            # The server has threads, so its processes are never forked.
            super().__init__(recipes, copy=False, context="spawn", autoreset_mode=AutoresetMode.DISABLED)
        except BaseException:
            self.end()
            raise

    @property
    def pids(self) -> list[int]:
        """Ids of those that run."""
        return [process.pid for process in self.processes if process.pid is not None and process.is_alive()]

    def first_end(self) -> int | None:
        """The exit code of one that has ended, or is about to; None if none does."""
        ready = connection.wait([process.sentinel for process in self.processes], GRACE_SECONDS)
        ending = next((process for process in self.processes if process.sentinel in ready), None)
        if ending is None:
            return None
        ending.join(GRACE_SECONDS)
        return ending.exitcode

    def close_gently(self) -> None:
        """End them once they have closed their environments, or ``GRACE_SECONDS`` have passed."""
        last = threading.Timer(GRACE_SECONDS, self._kill)
        last.start()
        with contextlib.suppress(Exception):  # whoever does not close is ended
            self.close()
        last.cancel()
        last.join()
        self.end()

    def end(self) -> None:
        """End them now."""
        self._kill()
        for pipe in self.parent_pipes:
            if pipe is not None:
                pipe.close()
        for process in self.processes:
            process.join()
        self.closed = True

    def _kill(self) -> None:
        for process in self.processes:
            process.kill()
