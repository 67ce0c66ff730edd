"""Failures of a disk that say which file could not be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agora.errors import Refused
from agora.v1 import policy_pb2


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
            raise OSError(error.errno, error.strerror, str(path)) from error
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
