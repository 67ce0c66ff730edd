"""Files that are whole or not there, whatever is killed while they are written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` to write to; afterwards it is on disk under that name, in place of what was there.

    Its name begins with a dot, so that whoever reads the folder passes over what a kill left.
    Only one writer at a time.

    Args:
        path: in a folder that exists.

    Raises:
        OSError: the disk refused; what was there before still is.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
