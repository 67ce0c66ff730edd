"""numba's functions, whose compiled code is kept on disk wherever that can be.

numba keeps it beside the source file, or else in the user's own cache folder, and refuses to load a module where it may
write to neither: in a container as another user, or from a read-only image.
"""

from __future__ import annotations

import logging
import os
import stat
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])


def cached(**options: Any) -> Callable[[F], F]:
    """``numba.njit(cache=True, **options)`` that also works where numba finds no folder to write to.

    Then a folder of this user's under the temporary one is taken, or the code is compiled anew by every process.
    """

    def compile_(function: F) -> F:
        try:
            return cast(F, numba.njit(cache=True, **options)(function))
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            kept = _fall_back()
            return cast(F, numba.njit(cache=kept, **options)(function))

    return compile_


@cache
def _fall_back() -> bool:
    """Let numba write to the temporary folder; False if that cannot be written to either. Said once a process."""
    cannot = "neither the folders of the source files nor the user's cache folder can be written to"
    try:
        numba.config.CACHE_DIR = str(own_folder())
    except OSError as error:
        log.warning("every start compiles anew: %s, and %s; NUMBA_CACHE_DIR may name a folder that can", cannot, error)
        return False
    log.warning("compiled code is kept in %s: %s; NUMBA_CACHE_DIR may name another", numba.config.CACHE_DIR, cannot)
    return True


def own_folder() -> Path:
    """A folder under the temporary one that nobody else may write to: what lies there is run.

    Raises:
        OSError: there is none that can be written to.
    """
    folder = Path(tempfile.gettempdir()) / f"agora-numba-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        return Path(tempfile.mkdtemp(prefix="agora-numba-"))
    return folder
