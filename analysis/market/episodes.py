"""Episodes of a market run, from its trajectory log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray

from analysis.market.facts import Tape
from analysis.market.quality import Depth, Trades
from analysis.market.statistics import Series

NUMBERS: Final = ("mid", "worth", "volume", "flow")
LISTS: Final = ("inventory", "equity", "depth", "trades")


class NoMarketError(ValueError):
    """A folder is not that of a market run; the message says what was looked for."""


@dataclass(frozen=True)
class Episode:
    """One episode of one copy, step by step.

    Attributes:
        block: number of the episode block.
        copy: number of the copy.
        agents: their ids.
        tape: middles, volumes and flows.
        worth: (T,), what a lot was worth, in ticks.
        inventory: int (T, N), lots.
        equity: (T, N), cash and shares at the middle, in ticks times lots.
        depth: ten levels of the book.
        trades: of continuous trading.
    """

    block: int
    copy: int
    agents: tuple[str, ...]
    tape: Tape
    worth: Series
    inventory: NDArray[np.int64]
    equity: Series
    depth: Depth
    trades: Trades


def episodes(run: Path) -> Iterator[Episode]:
    """All episodes that a run logged, by block and copy.

    Raises:
        NoMarketError: there is no log, or it is not a market's.
    """
    for file in _parts(run):
        yield from _read(file, ds.scalar(True))


def newest(run: Path, count: int) -> list[Episode]:
    """At most so many of the episodes that a run logged last: the last block's first, each block by copy.

    Nothing else is read of the log but blocks' and copies' numbers, and of as few parts as will do.

    Raises:
        NoMarketError: there is no log, or it is not a market's.
    """
    found: list[Episode] = []
    for file in reversed(_parts(run)):
        if len(found) < count:
            wanted = _last(file, count - len(found))
            found += sorted(_read(file, wanted), key=lambda episode: (-episode.block, episode.copy))
    return found


def _last(file: Path, count: int) -> ds.Expression:
    """Rows of the last episodes of a part."""
    table = pq.read_table(file, columns=["block", "copy"])
    blocks, copies = np.unique([table[name].to_numpy().astype(np.int64) for name in ("block", "copy")], axis=1)
    places = np.lexsort((copies, -blocks))[:count]
    return reduce(or_, [(ds.field("block") == blocks[at]) & (ds.field("copy") == copies[at]) for at in places])


def _parts(run: Path) -> list[Path]:
    folder = run / "trajectories"
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise NoMarketError(f"{folder}: expected a trajectory log, found none; set training.log or play with --log")
    return files


def _read(file: Path, rows: ds.Expression) -> Iterator[Episode]:
    """The episodes of a part whose rows are wanted."""
    names, columns = pq.read_schema(file).names, [f"info.{name}" for name in (*NUMBERS, *LISTS)]
    missing = [name for name in columns if name not in names]
    if missing:
        raise NoMarketError(f"{file}: expected the log of a market, found no {missing[0]}")
    agents = tuple(name.removesuffix(".reward") for name in names if name.endswith(".reward"))
    yield from _of_table(ds.dataset(file).to_table(["block", "copy", "step", *columns], filter=rows), agents)


def _of_table(table: pa.Table, agents: tuple[str, ...]) -> Iterator[Episode]:
    place = {name: table[name].to_numpy() for name in ("block", "copy", "step")}
    order = np.lexsort((place["step"], place["copy"], place["block"]))
    if not len(order):
        return
    starts = np.flatnonzero(place["step"][order] == 0)
    columns = {name: _array(table[f"info.{name}"])[order] for name in (*NUMBERS, *LISTS)}
    for rows in np.split(np.arange(len(order)), starts[1:]):
        first = order[rows[0]]
        yield _episode(
            int(place["block"][first]),
            int(place["copy"][first]),
            agents,
            {name: values[rows] for name, values in columns.items()},
        )


def _episode(block: int, copy: int, agents: tuple[str, ...], values: dict[str, NDArray[np.float64]]) -> Episode:
    steps = len(values["mid"])
    depth = values["depth"].reshape(steps, 2, -1, 2).astype(np.int64)
    trades = values["trades"].reshape(steps, -1, 3)
    step, place = np.nonzero(trades[:, :, 2])
    done = trades[step, place]
    return Episode(
        block=block,
        copy=copy,
        agents=agents,
        tape=Tape(values["mid"], values["volume"], values["flow"]),
        worth=values["worth"],
        inventory=values["inventory"].reshape(steps, -1).astype(np.int64),
        equity=values["equity"].reshape(steps, -1),
        depth=Depth(depth[..., 0], depth[..., 1]),
        trades=Trades(step, done[:, 0], done[:, 1], done[:, 2]),
    )


def _array(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Numbers (rows,), or lists (rows, width)."""
    joined = column.combine_chunks()
    if pa.types.is_fixed_size_list(joined.type):
        return np.asarray(joined.flatten().to_numpy(zero_copy_only=False), np.float64).reshape(len(joined), -1)
    return np.asarray(joined.to_numpy(zero_copy_only=False), np.float64)
