"""Files that are whole or not there, whatever is killed meanwhile, and disks that say which file they refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agora.errors import Refused
from agora.v1 import policy_pb2


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` to write to; afterwards it is on disk under that name, in place of what was there.

    Its name begins with a dot, so that whoever reads the folder passes over what a kill left.
    Only one writer at a time.

    Args:
        path: in a folder that exists.

    Raises:
        OSError: the disk refused, with the draft's name; what was there before still is.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with writing(draft):
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


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name a file in the errors of the block that writes it; ``write`` itself does not say where the disk was full.

    Raises:
        OSError: with the file's name.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            # Libraries put words of their own where the system's belong.
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise


def check_folder(path: Path, field: str) -> None:
    """Make a folder if it is missing, and see whether something can be written there.

    Raises:
        Refused: it cannot.
    """
    probe = path / ".writable"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\n")
        probe.unlink()
    except OSError as error:
        got = f"{path}: {error.strerror}"
        raise Refused(policy_pb2.REASON_CONFIG, field, "a folder that can be written", got) from error
