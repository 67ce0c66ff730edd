"""Becomes a command that dies with whoever started it, however that one ends. Run as a script, for a quick start.

``python -I -S child.py PARENT_PID COMMAND ...``: nothing is imported but the standard library. A wrapper and not a
``preexec_fn``, because code between fork and exec may deadlock in a process that runs gRPC's threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask Linux for SIGKILL when the parent ends, then become ``command``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it ended before we had asked
        sys.exit("the launcher is gone")
    os.execvp(command[0], command)  # noqa: S606  # becoming the command is the purpose


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
