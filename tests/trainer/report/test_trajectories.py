"""The log's info arrays: the right block, the right rows, torn parts left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from trainer.report.data import load_run
from trainer.report.summary import provenance
from trainer.report.trajectories import read_log

if TYPE_CHECKING:
    from tests.trainer.report.conftest import SyntheticRun

SHAPES = {"prices": (4, 8)}


@pytest.fixture
def run(synthetic: SyntheticRun) -> SyntheticRun:
    synthetic.write()
    return synthetic


def test_shows_the_last_greedy_block(run: SyntheticRun) -> None:
    info = read_log(run.directory / "trajectories", SHAPES).infos["prices"]
    assert (info.block, info.greedy, info.copies) == (run.rounds - 1, True, run.copies)
    np.testing.assert_allclose(info.middle, run.prices(run.rounds - 1), rtol=1e-6)
    np.testing.assert_array_equal(info.low, info.high)


def test_means_of_every_block_over_joint_actions(run: SyntheticRun) -> None:
    folder = run.directory / "trajectories"
    info = read_log(folder, SHAPES).infos["prices"]
    frame = pq.read_table(folder).to_pandas()
    prices = np.stack(frame["info.prices"].to_list()).reshape(len(frame), 4, 8)
    expected = [prices[frame["block"] == number].mean(axis=(0, 2)) for number in range(run.rounds)]
    np.testing.assert_allclose(info.means, expected, rtol=1e-5)
    np.testing.assert_array_equal(info.steps, run.num_steps * run.copies * np.arange(1, run.rounds + 1))


def test_missing_folder_reads_as_empty(tmp_path: Path) -> None:
    log = read_log(tmp_path / "trajectories", SHAPES)
    assert (dict(log.infos), log.parts, log.unreadable) == ({}, 0, 0)


def test_torn_parts_are_counted_and_left_out(run: SyntheticRun) -> None:
    folder = run.directory / "trajectories"
    parts = sorted(folder.glob("*.parquet"))
    parts[-1].write_bytes(parts[-1].read_bytes()[:-100])
    (folder / "part-99999.parquet").write_bytes(b"")
    log = read_log(folder, SHAPES)
    assert (log.parts, log.unreadable) == (4, 2)
    assert log.infos["prices"].block < run.rounds - 1


def test_array_of_another_size_is_left_out(run: SyntheticRun) -> None:
    assert read_log(run.directory / "trajectories", {"prices": (3, 8), "absent": (4, 8)}).infos == {}


def test_last_step_of_each_copy_counts_even_across_parts(tmp_path: Path) -> None:
    for part, steps in enumerate([[0, 1], [2, 3]]):
        step = np.repeat(np.array(steps, np.uint32), 3)
        copy = np.tile(np.arange(3, dtype=np.uint32), 2)
        values = 10.0 * step + copy
        columns = {
            "block": np.full(6, 2**63 + 5, np.uint64),
            "copy": copy,
            "step": step,
            "info.x": pa.FixedSizeListArray.from_arrays(pa.array(values), 1),
        }
        pq.write_table(pa.table(columns), tmp_path / f"{part}.parquet")
    info = read_log(tmp_path, {"x": (1, 1)}).infos["x"]
    assert info.block == 2**63 + 5
    assert info.middle.tolist() == [[31.0]]
    assert not info.greedy
    np.testing.assert_allclose([info.low[0, 0], info.high[0, 0]], [30.2, 31.8])


def line(run: SyntheticRun) -> str | None:
    return dict(provenance(load_run(run.directory))).get("Not in the log exactly once")


def write_blocks(run: SyntheticRun, numbers: list[int], name: str) -> None:
    folder = run.directory / "trajectories"
    pq.write_table(pa.concat_tables([run.block(number) for number in numbers]), folder / f"{name}.parquet")


def test_a_log_with_every_block_once_is_not_mentioned(run: SyntheticRun) -> None:
    write_blocks(run, list(range(run.rounds, run.rounds + 6)), "checks")
    assert line(run) is None
    assert load_run(run.directory).log.blocks == set(range(66))


def test_rows_lost_and_doubled_are_told(run: SyntheticRun) -> None:
    # 60 rounds and 6 checks were told; the log of the fixture has the rounds' blocks only.
    assert line(run) == "6 of 66 blocks missing (60, 61, 62, 63, 64, …)"
    write_blocks(run, [60, 61, 62, 63, 64], "checks")
    write_blocks(run, [7, 8], "again")
    rows = 2 * run.num_steps * run.copies
    assert line(run) == f"1 of 66 blocks missing (65), {rows} rows doubled"
    write_blocks(run, [65, 65], "twice-in-one-part")
    assert line(run) == f"{3 * rows // 2} rows doubled"


def test_blocks_of_a_round_are_counted(run: SyntheticRun) -> None:
    write_blocks(run, list(range(60, 123)), "more")
    config = yaml.safe_load((run.directory / "config.yaml").read_text())
    for settings, expected in (
        ({"blocks_per_round": 2}, "3 of 126 blocks missing (123, 124, 125)"),
        ({"blocks_per_round": 2, "log": False}, None),
    ):
        changed = config | {"training": config["training"] | settings}
        (run.directory / "config.yaml").write_text(yaml.safe_dump(changed))
        assert line(run) == expected
