# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tasks in worker processes that may hang, die or be replaced without the run noticing.

Pebble's pool kills a task at its time limit and replaces workers after so many tasks. Its workers are forked by a
server process that has no threads and has loaded the engine once, so that a fresh worker costs no imports.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import forkserver
from traceback import extract_tb
from typing import Any

from pebble import ProcessExpired, ProcessPool

ATTEMPTS = 2
"""How often a task is begun before it counts as failed."""

BREAKDOWNS = 5
"""How often in a row all workers may be lost at once."""

ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # agents iterate over sets
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
"""What a worker's interpreter starts with: worlds that repeat, and no threads beside the pool's processes."""

PRELOAD = ["scml_engine.world", "scml_engine.policies"]
"""Modules that the server of processes imports once, for all workers."""
POLL_SECONDS = 1.0

_Answer = tuple[Any, str]
"""A value, or None and why there is none."""


class PoolError(RuntimeError):
    """The pool cannot run anything."""


@dataclass(frozen=True)
class Task:
    """A call for a worker.

    Attributes:
        key: what its outcome is found by.
        function: a function of a module; its value must survive pickling.
        arguments: its arguments.
    """

    key: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    Attributes:
        key: the task's.
        value: what the function returned; None if it failed.
        error: why it failed, in words; empty if it did not.
        attempts: how often it was begun.
    """

    key: str
    value: Any
    error: str
    attempts: int


@dataclass(frozen=True)
class _Attempt:
    task: Task
    number: int = 1


def run_many(
    tasks: Iterable[Task], workers: int, seconds: float, recycle: int = 1, preload: Sequence[str] = ()
) -> Generator[Outcome, None, None]:
    """Run tasks in worker processes; each ends with exactly one outcome.

    A task that raises, loses its process or exceeds its time is begun once more. Workers print nothing, ignore Ctrl-C,
    and die with this process. Closing the iterator kills what runs.

    Args:
        tasks: what to run.
        workers: how many processes.
        seconds: after so long a task's process is killed.
        recycle: a worker is replaced after so many tasks; 0 never. With 1, nothing that a task leaves behind in its
            process, such as what an agent's class has learned, reaches another.
        preload: further modules that the server of processes imports once.

    Yields:
        Outcomes in the order in which tasks end.

    Raises:
        PoolError: workers die before they begin, again and again.
    """
    waiting = deque(_Attempt(task) for task in tasks)
    running: dict[Future[_Answer], _Attempt] = {}
    pool, breakdowns = _pool(workers, recycle, preload), 0
    try:
        while waiting or running:
            if pool.active:
                _fill(pool, waiting, running, workers, seconds)
                ended = wait(running, POLL_SECONDS, FIRST_COMPLETED).done
                breakdowns = 0 if any(future.exception() is None for future in ended) else breakdowns
            else:  # it lost all its workers at once, and with them whatever ran
                breakdowns += 1
                if breakdowns == BREAKDOWNS:
                    raise PoolError("workers: expected processes that begin, but they end at once")
                _close(pool)
                pool, ended = _pool(workers, recycle, preload), set(running)
            for future in ended:
                attempt, (value, error) = running.pop(future), _result(future, seconds)
                if error and attempt.number < ATTEMPTS:
                    waiting.appendleft(_Attempt(attempt.task, attempt.number + 1))
                else:
                    yield Outcome(attempt.task.key, value, error, attempt.number)
    finally:
        _close(pool)


def _fill(
    pool: ProcessPool,
    waiting: deque[_Attempt],
    running: dict[Future[_Answer], _Attempt],
    workers: int,
    seconds: float,
) -> None:
    with suppress(RuntimeError):  # the pool broke a moment ago; the next turn sees it
        while waiting and len(running) < workers:
            task = waiting[0].task
            future = pool.schedule(_guarded, args=(task.function, task.arguments), timeout=seconds)
            running[future] = waiting.popleft()


def _pool(workers: int, recycle: int, preload: Sequence[str]) -> ProcessPool:
    with _environment():
        multiprocessing.get_context("forkserver").set_forkserver_preload([*PRELOAD, *preload])
        forkserver.ensure_running()
    context = multiprocessing.get_context("forkserver")
    return ProcessPool(max_workers=workers, max_tasks=recycle, initializer=_begin, context=context)


def _close(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


@contextmanager
def _environment() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin() -> None:
    """What a worker does first."""
    # When the runner ends, however it does, this pipe from it does too, and the kernel sends SIGIO, which ends us.
    # A thread that waits for that would wait for ever if an agent never let go of the interpreter.
    runner = multiprocessing.parent_process()
    if runner is not None:
        fcntl.fcntl(runner.sentinel, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(runner.sentinel, fcntl.F_SETFL, os.O_ASYNC)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _guarded(function: Callable[..., Any], arguments: tuple[Any, ...]) -> _Answer:
    """The value or why there is none; never an exception, as those of agents may not survive pickling."""
    if sys.flags.hash_randomization:
        return None, "PYTHONHASHSEED: expected 0 in the workers, but a server of processes ran before without it"
    try:
        return function(*arguments), ""
    except BaseException as error:  # an agent may raise SystemExit too
        where = extract_tb(error.__traceback__)[-1]
        return None, f"{type(error).__name__}: {error} (in {where.name}, {os.path.basename(where.filename)})"


def _result(future: Future[_Answer], seconds: float) -> _Answer:
    if not future.done():
        return None, "all worker processes ended at once"
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, TimeoutError):
        return None, f"killed: not finished within {seconds:g} s"
    if isinstance(error, ProcessExpired):
        code = error.exitcode
        return None, f"its process ended {f'by {signal.Signals(-code).name}' if code < 0 else f'with code {code}'}"
    return None, f"{type(error).__name__}: {error}"
