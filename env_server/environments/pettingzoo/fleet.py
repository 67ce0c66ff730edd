"""All copies of a game, played by several processes in step."""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agora.errors import Refused
from agora.v1 import policy_pb2
from env_server.environments.base import Array
from env_server.environments.pettingzoo.chunk import FAILURES, Failure, Recipe
from env_server.environments.pettingzoo.processes import Processes, Table

Wait = Callable[[float], tuple[Any, ...]]


class Fleet:
    """Processes, each with its share of the copies; they are started by ``reset`` and every call waits for all."""

    def __init__(self, recipe: Recipe, patience: float) -> None:
        """Nothing is started yet.

        Args:
            recipe: of the shares.
            patience: seconds that a process may take for one reset or step.
        """
        self._recipe = recipe
        self._patience = patience
        self._shares = -(-recipe.copies // recipe.rows)
        self._processes: Processes | None = None
        self._failures: list[Failure] = []

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run."""
        return self._processes.pids if self._processes else []

    def reset(self, seed: int, copies: NDArray[np.uint32], rows: NDArray[np.intp]) -> Table:
        """Start episodes in some rows; processes that are missing are started.

        Returns:
            The table, its arrays (copies, ...).

        Raises:
            Refused: UNREACHABLE, retryable: a process is gone, or hangs.
        """
        options = {"seed": seed, "copies": copies, "rows": rows}
        return self._ask(lambda them: them.reset_async(options=options), lambda them: them.reset_wait)

    def step(self, actions: Table) -> Table:
        """Act; see ``reset``.

        Args:
            actions: per agent its leaves, (copies, ...).
        """
        shares = {key: self._split(values) for key, values in actions.items()}
        return self._ask(lambda them: them.step_async(shares), lambda them: them.step_wait)

    def _split(self, values: Array) -> Array:
        recipe = self._recipe
        full = self._shares * recipe.rows
        if len(values) < full:
            values = np.concatenate([values, np.zeros((full - len(values), *values.shape[1:]), values.dtype)])
        return values.reshape(self._shares, recipe.rows, *values.shape[1:])

    def _ask(self, say: Callable[[Processes], None], wait: Callable[[Processes], Wait]) -> Table:
        try:
            if self._processes is None:
                self._processes = Processes(self._recipe, self._shares)
            processes = self._processes
            say(processes)
            *_, info = wait(processes)(self._patience)
        except (EOFError, OSError, multiprocessing.TimeoutError) as error:
            got = self._lost(error)
            expected = "an answer from the processes that play the copies"
            raise Refused(policy_pb2.REASON_UNREACHABLE, "environment", expected, got, retryable=True) from error
        except Exception:
            self.close(gently=False)  # a process that raised has ended, and the others wait for it
            raise
        self._failures += itertools.chain.from_iterable(each for each in info.get(FAILURES, ()) if each)
        return {key: self._join(values) for key, values in processes.observations.items()}

    def _join(self, values: Array) -> Array:
        # The processes write to this memory again.
        return values.reshape(-1, *values.shape[2:])[: self._recipe.copies].copy()

    def failures(self) -> Sequence[Failure]:
        """What failed since this was asked last."""
        failures, self._failures = self._failures, []
        return failures

    def _lost(self, error: Exception) -> str:
        hangs = isinstance(error, multiprocessing.TimeoutError)
        code = None if hangs or self._processes is None else self._processes.first_end()
        self.close(gently=False)
        if code is not None:
            return f"none: a process ended with exit code {code}"
        return f"none within {self._patience:g} s" if hangs else f"none: {error!r}"

    def close(self, gently: bool = True) -> None:
        """End all processes, with or without giving their environments time to close."""
        processes, self._processes = self._processes, None
        if processes is not None:
            (processes.close_gently if gently else processes.end)()
