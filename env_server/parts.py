"""The parts of the trajectory log: Parquet files of whole blocks, one row per (block, step, copy).

A part holds blocks without gaps, is named after the first and the last of them, and appears under its name only when it
is complete and on disk. A block that is played again takes the place of its rows in the part that has them. So whoever
reads all parts finds every block once, at every moment and whatever was killed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from agora.errors import Refused
from agora.files import replacing
from agora.v1 import policy_pb2
from env_server.rollout.rows import KEYS

log = logging.getLogger(__name__)


def put(directory: Path, run: str, tables: Mapping[int, pa.Table]) -> None:
    """Put blocks into a run's log; whoever calls holds the folder's lock.

    Args:
        directory: of the parts.
        run: its name.
        tables: rows by block, at least one.

    Raises:
        Refused: a part that has some of these blocks cannot be read, or is the log of another game.
        OSError: the disk refused.
    """
    for left in directory.glob(".*.draft"):  # by a writer that was killed
        left.unlink()
    placed: set[int] = set()
    for part in parts_of(directory, run):
        again = {block for block in tables if part.first <= block <= part.last}
        if again:
            # Versions before this one could leave a block in two parts: it stays in the first.
            _save(part.path, _others(part, again) | {block: tables[block] for block in again - placed})
            placed |= again
    for _, numbers in groupby(enumerate(sorted(tables.keys() - placed)), lambda pair: pair[1] - pair[0]):
        blocks = [block for _, block in numbers]
        name = f"{run}-{blocks[0]:09d}-{blocks[-1]:09d}.parquet"
        _save(directory / name, {block: tables[block] for block in blocks})


@dataclass(frozen=True)
class Part:
    """A file of the log, and the blocks that it was named after."""

    path: Path
    first: int
    last: int


def parts_of(directory: Path, run: str) -> list[Part]:
    """The parts of a run, in order of their first blocks."""
    pattern = re.compile(re.escape(run) + r"-(\d{9,})-(\d{9,})\.parquet")
    named = ((path, pattern.fullmatch(path.name)) for path in directory.iterdir())
    parts = [Part(path, int(match[1]), int(match[2])) for path, match in named if match]
    return sorted(parts, key=lambda part: (part.first, part.last))


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep every other log out of a folder, of this process and of others; the kernel lets go when a process ends.

    Args:
        directory: has the file that is locked; it is gone afterwards.
    """
    path = directory / ".lock"
    while True:
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                log.info("waiting for another writer of %s", directory)
                fcntl.flock(file, fcntl.LOCK_EX)
            # Who held it before has removed it: the file of that name is another one, or there is none.
            if not _is(path, file.fileno()):
                continue
            try:
                yield
            finally:
                path.unlink()
            return


def _is(path: Path, descriptor: int) -> bool:
    """Whether an open file is the one of that name."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _others(part: Part, again: set[int]) -> dict[int, pa.Table]:
    """Rows by block of a part, without the blocks that were played again."""
    if len(again) > part.last - part.first:
        return {}
    try:
        table = pq.read_table(part.path)
    except pa.ArrowException as error:
        raise Refused(policy_pb2.REASON_INTERNAL, "log", f"{part.path} to be readable", str(error)) from error
    blocks = pc.unique(table["block"]).to_pylist()
    return {block: table.filter(pc.field("block") == block) for block in blocks if block not in again}


def _save(path: Path, tables: Mapping[int, pa.Table]) -> None:
    """Write a part, in place of what it was; without blocks there is none."""
    if not tables:
        path.unlink()
        return
    try:
        table = pa.concat_tables([tables[block] for block in sorted(tables)])
    except pa.ArrowInvalid as error:
        expected = f"a run of its own for every game; {path} has rows of another"
        raise Refused(policy_pb2.REASON_CONFIG, "run", expected, str(error).splitlines()[0]) from error
    # Numbers that were measured do not repeat, nobody filters by them, and the game goes on beside the writing:
    # no dictionaries, no bounds, and the cheaper compression.
    names = [field.name for field in table.schema if pa.types.is_dictionary(field.type)]
    with replacing(path) as draft:
        pq.write_table(table, draft, compression="lz4", use_dictionary=names, write_statistics=KEYS)
