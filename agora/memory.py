"""Memory that is kept instead of being given back and fetched again with every step.

glibc takes blocks above 128 KiB from the kernel and gives them back when they are freed, and it hands back the end of
its heap. Every page is then faulted in again, frame by frame and block by block, which is slow in virtual machines.
"""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST_THRESHOLD = 32 << 20
_PAD = 16 << 20
_NEVER = 2**31 - 1


def keep_memory() -> None:
    """Let this process keep freed blocks of up to 32 MiB for itself; does nothing without glibc's ``mallopt``."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, _LARGEST_THRESHOLD)
    mallopt(_TRIM_THRESHOLD, _NEVER)
    mallopt(_TOP_PAD, _PAD)
