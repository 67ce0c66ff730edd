"""Read from the trajectory log the few columns that a report draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = tuple[int, int]

RECENT_SHARE: Final = 10
"""A greedy block is recent if it lies in the last tenth of the log."""
BATCH_ROWS: Final = 16384


@dataclass(frozen=True)
class InfoValues:
    """One info array, as the log shows it, for N agents and L labels.

    Attributes:
        middle: (N, L), median over the copies at the last step of the shown block.
        low: (N, L), its 10 % quantile.
        high: (N, L), its 90 % quantile.
        block: the block shown: the most recent greedy one, or the most recent one.
        greedy: whether that block was played without noise.
        copies: episodes in that block.
        steps: (K,), joint actions logged up to the end of each block.
        means: (K, N), mean over each block's rows and labels.
    """

    middle: Floats
    low: Floats
    high: Floats
    block: int
    greedy: bool
    copies: int
    steps: NDArray[np.int64]
    means: Floats


@dataclass(frozen=True)
class Log:
    """What was found in the log.

    Attributes:
        infos: info arrays by name.
        parts: how many there are.
        unreadable: how many of them nobody can read.
        blocks: numbers of the blocks found.
        doubled: rows of a (block, step, copy) that another row has already.
    """

    infos: Mapping[str, InfoValues] = field(default_factory=dict)
    parts: int = 0
    unreadable: int = 0
    blocks: frozenset[int] = frozenset()
    doubled: int = 0


@dataclass
class _Block:
    rows: int = 0
    noise: float = 0.0
    parts: set[Path] = field(default_factory=set)
    sums: dict[str, Floats] = field(default_factory=dict)
    places: list[NDArray[np.uint64]] = field(default_factory=list)

    @property
    def doubled(self) -> int:
        """Rows of a step and copy that another row has already."""
        return sum(map(len, self.places)) - len(np.unique(np.concatenate(self.places))) if self.places else 0


def read_log(directory: Path, shapes: Mapping[str, Shape]) -> Log:
    """Read the info arrays of a run.

    Args:
        directory: the folder of Parquet parts; may be missing, and parts may be torn.
        shapes: (agents, labels) of the info arrays wanted, by name.
    """
    blocks: dict[int, _Block] = {}
    parts = sorted(directory.glob("*.parquet"))
    unreadable = 0
    for part in parts:
        try:
            _index(part, shapes, blocks)
        except (pa.ArrowException, OSError):
            unreadable += 1
    infos = {name: _info(name, shape, blocks) for name, shape in shapes.items()}
    known = {name: info for name, info in infos.items() if info}
    doubled = sum(block.doubled for block in blocks.values())
    return Log(known, len(parts), unreadable, frozenset(blocks), doubled)


def _index(part: Path, shapes: Mapping[str, Shape], blocks: dict[int, _Block]) -> None:
    """Add a part's rows to the sums of their blocks."""
    # All batches are read before any is counted, so that a torn part counts for nothing.
    for batch in list(_batches(part, ["block", "step", "copy", "noise_scale", *(f"info.{name}" for name in shapes)])):
        numbers, inverse = np.unique(batch["block"].to_numpy(), return_inverse=True)
        noise, places = _noise(batch), _places(batch)
        means = {name: _matrix(batch, name, shape) for name, shape in shapes.items()}
        for i, number in enumerate(numbers.tolist()):
            rows = inverse == i
            block = blocks.setdefault(number, _Block())
            block.rows += int(rows.sum())
            block.noise = max(block.noise, float(noise[rows].max()), key=_nan_first)
            block.parts.add(part)
            if places is not None:
                block.places.append(places[rows])
            for name, values in means.items():
                if values is not None:
                    block.sums[name] = block.sums.get(name, 0.0) + values[rows].mean(axis=2).sum(axis=0)


def _places(batch: pa.RecordBatch) -> NDArray[np.uint64] | None:
    """Step and copy of each row as one number."""
    if not {"step", "copy"} <= set(batch.schema.names):
        return None
    step, copy = (batch[name].to_numpy().astype(np.uint64) for name in ("step", "copy"))
    return np.asarray(step << np.uint64(32) | copy)


def _noise(batch: pa.RecordBatch) -> Floats:
    if "noise_scale" not in batch.schema.names:
        return np.full(batch.num_rows, np.nan)
    return np.asarray(batch["noise_scale"].to_numpy(zero_copy_only=False), dtype=np.float64)


def _nan_first(value: float) -> float:
    """Order that puts an unknown noise above every known one, so that it never counts as none."""
    return math.inf if math.isnan(value) else value


def _batches(part: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(part) as file:
        present = [name for name in columns if name in file.schema_arrow.names]
        if "block" in present:
            yield from file.iter_batches(BATCH_ROWS, columns=present)


def _matrix(batch: pa.RecordBatch, name: str, shape: Shape) -> Floats | None:
    """An info column as (rows, N, L), or None where it is missing or of another size."""
    if f"info.{name}" not in batch.schema.names:
        return None
    flat = batch[f"info.{name}"].flatten().to_numpy(zero_copy_only=False)
    if len(flat) != batch.num_rows * shape[0] * shape[1]:
        return None
    return np.asarray(flat, dtype=np.float64).reshape(batch.num_rows, *shape)


def _info(name: str, shape: Shape, blocks: Mapping[int, _Block]) -> InfoValues | None:
    numbers = [number for number in sorted(blocks) if name in blocks[number].sums]
    if not numbers:
        return None
    shown = _shown(numbers, blocks)
    last = _last_steps(name, shape, shown, blocks[shown].parts)
    low, middle, high = np.quantile(last, [0.1, 0.5, 0.9], axis=0)
    ends = np.cumsum([blocks[number].rows for number in numbers])
    means = np.array([blocks[number].sums[name] / blocks[number].rows for number in numbers])
    keep = _greedy_or_all(numbers, blocks)
    greedy = blocks[shown].noise == 0.0
    return InfoValues(middle, low, high, shown, greedy, len(last), ends[keep], means[keep])


def _shown(numbers: Sequence[int], blocks: Mapping[int, _Block]) -> int:
    recent = numbers[-max(RECENT_SHARE, len(numbers) // RECENT_SHARE) :]
    greedy = [number for number in recent if blocks[number].noise == 0.0]
    return greedy[-1] if greedy else numbers[-1]


def _greedy_or_all(numbers: Sequence[int], blocks: Mapping[int, _Block]) -> NDArray[np.bool_]:
    """Greedy blocks where they reach to the end of the log, or else all of them."""
    greedy = np.array([blocks[number].noise == 0.0 for number in numbers])
    return greedy if greedy.sum() >= 2 and blocks[_shown(numbers, blocks)].noise == 0.0 else np.ones_like(greedy)


def _last_steps(name: str, shape: Shape, block: int, parts: set[Path]) -> Floats:
    """The info array at the last logged step of each copy of a block, (copies, N, L)."""
    latest: dict[int, tuple[int, Floats]] = {}
    for part in sorted(parts):
        for batch in _batches(part, ["block", "copy", "step", f"info.{name}"]):
            values = _matrix(batch, name, shape)
            if values is None:
                continue
            for row in np.flatnonzero(batch["block"].to_numpy() == np.uint64(block)):
                copy, step = batch["copy"][row].as_py(), batch["step"][row].as_py()
                if step >= latest.get(copy, (-1, values[row]))[0]:
                    latest[copy] = (step, values[row])
    return np.array([values for _, values in latest.values()])
