"""A process whose environments may start processes of their own, and of which nothing is left when it ends."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal


def may_have_offspring() -> None:
    """Let this process, a worker, start others; they end with it, and it ends with its parent.

    Daemons of ``multiprocessing`` may have no children, since nobody would end these if the daemon were killed. Here a
    guardian does: a small process that waits until the worker or its parent has ended, however that came about, and
    then kills the worker's process group. Only who leaves that group (``setsid``) escapes.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    multiprocessing.current_process().daemon = False
    os.setpgid(0, 0)
    worker = os.getpid()
    alive = os.pidfd_open(worker)
    between = os.fork()
    if between == 0:
        # The guardian is no child of the worker: an environment that waits for its children does not wait for it.
        if os.fork() == 0:
            _guard(worker, alive, parent.sentinel)
        os._exit(0)
    os.waitpid(between, 0)
    os.close(alive)


def _guard(worker: int, alive: int, parent: int) -> None:
    """Wait in a group of its own, with nothing open but what it waits for."""
    try:
        os.setpgid(0, 0)
        first, last = sorted((alive, parent))
        os.closerange(0, first)
        os.closerange(first + 1, last)
        os.closerange(last + 1, os.sysconf("SC_OPEN_MAX"))
        waiting = select.poll()
        for ends in (alive, parent):
            waiting.register(ends, select.POLLIN | select.POLLHUP)
        waiting.poll()
        os.killpg(worker, signal.SIGKILL)
    finally:
        os._exit(0)
